"""Fixtures that more than one room uses."""

from __future__ import annotations

pytest_plugins = ["tests.workers", "tests.images.plugin", "tests.origin.plugin", "tests.root"]
