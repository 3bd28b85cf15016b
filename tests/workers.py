"""Which tests may run at the same time, where pytest-xdist has several workers (`-n`).

Those with containers or a browser take turns, as both wait for the same Docker, and a browser drops what it loads when
a container's network comes up beside it. All others keep to their module, for its fixtures.
"""

from __future__ import annotations

import pytest

IN_TURN = {"docker", "built", "browser"}
"""Fixtures."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.pluginmanager.hasplugin("xdist"):
        return
    in_turn = {item.path for item in items if IN_TURN & set(getattr(item, "fixturenames", ()))}
    for item in items:
        group = "in turn" if item.path in in_turn else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
