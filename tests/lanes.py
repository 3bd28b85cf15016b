"""With two workers (`make test`): the tests of a file stay together, and those that use Docker all in one."""

from __future__ import annotations

import pytest

ROOMS = ("tests/days/", "tests/engine/", "tests/images/")
"""Where everything builds or runs images."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.pluginmanager.hasplugin("xdist"):
        return
    files = {item.nodeid: item.nodeid.partition("::")[0] for item in items}
    docker = {files[item.nodeid] for item in items if "docker" in getattr(item, "fixturenames", ())}
    for item in items:
        file = files[item.nodeid]
        lane = "docker" if file in docker or file.startswith(ROOMS) else file
        item.add_marker(pytest.mark.xdist_group(lane))
