"""Fixtures: `origin` (one for each test)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.origin.server import Origin


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as running:
        yield running
