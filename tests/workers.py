"""Which tests may run at the same time, where pytest-xdist has several workers (`-n`).

Those with containers or a browser take turns, as all wait for the same Docker, and a browser drops what it loads when
a container's network comes up beside it. The others keep to their module, for its fixtures.
"""

from __future__ import annotations

from typing import Any

import pytest

IN_TURN = (
    *(f"tests/{room}/" for room in ("days", "engine", "images", "panel")),
    "tests/portal/test_open_button.py",
    "tests/rendering/test_dockerfile.py",
)
"""How the ids of tests begin."""
SHARED = {"browser", "built", "docker"}
"""Fixtures that are used in turn."""
REFUSED = pytest.StashKey[str]()


def group(nodeid: str) -> str:
    """Tests with the same one are run by one worker, in their order."""
    return "in turn" if nodeid.startswith(IN_TURN) else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One that knows these groups: `xdist_group` of pytest-xdist 3.8 does nothing under pytest 9.2."""
    from xdist.scheduler import LoadScopeScheduling

    class Turns(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    return Turns(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    shared = SHARED & set(getattr(item, "fixturenames", ()))
    if shared and hasattr(item.config, "workerinput") and not item.nodeid.startswith(IN_TURN):
        pytest.fail(f"it uses {', '.join(shared)}: name its file in tests/workers.py, IN_TURN", pytrace=False)


def refuse(config: pytest.Config, items: list[pytest.Item], text: str) -> None:
    """End the run before its first test. Out of a worker an error of usage would come as one of pytest's own."""
    if not hasattr(config, "workerinput"):
        raise pytest.UsageError(text)
    config.workeroutput["refused"] = text  # type: ignore[attr-defined]  # xdist's
    items.clear()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    if text := getattr(node, "workeroutput", {}).get("refused"):
        node.config.stash[REFUSED] = text


def pytest_sessionfinish(session: pytest.Session) -> None:
    if REFUSED in session.config.stash:
        session.exitstatus = pytest.ExitCode.USAGE_ERROR


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if REFUSED in config.stash:
        terminalreporter.write_line(f"ERROR: {config.stash[REFUSED]}", red=True)
