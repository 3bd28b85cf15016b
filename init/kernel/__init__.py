"""Compiled extensions: which GPU, which wheel, how to build one."""
