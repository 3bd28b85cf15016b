"""With two workers (`make test`): the tests of a file stay together, and those that use Docker all in one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

DOCKER = (
    "tests/days/",
    "tests/engine/",
    "tests/images/",
    "tests/panel/test_demo.py",
    "tests/rendering/test_dockerfile.py",
)
"""What builds or runs images."""


def lane(nodeid: str) -> str:
    return "docker" if nodeid.startswith(DOCKER) else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    from xdist.scheduler import LoadScopeScheduling

    class Lanes(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return lane(nodeid)

    return Lanes(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two workers that build the same image would be in each other's way."""
    astray = {item.nodeid.partition("::")[0] for item in items if "docker" in getattr(item, "fixturenames", ())}
    astray = {file for file in astray if not file.startswith(DOCKER)}
    if astray:
        raise pytest.UsageError(f"these use Docker and are not named in tests/lanes.py: {', '.join(sorted(astray))}")
