"""Build recipe of the `cppn` extension."""

from setuptools import Extension, setup

setup(
    name="cppn",
    version="1.0",
    ext_modules=[Extension("cppn", ["cppn.c"], extra_compile_args=["-O3"], libraries=["m"])],
)
