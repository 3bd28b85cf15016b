from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stages.bench import Bench
from tests.stages.repositories import Repositories, repositories
from tests.stages.wheels import served


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uv-cache")


@pytest.fixture
def bench(tmp_path: Path, cache: Path) -> Bench:
    return Bench(tmp_path / "root", cache)


@pytest.fixture
def repos(tmp_path: Path) -> Iterator[Repositories]:
    with repositories(tmp_path / "repositories") as found:
        yield found


@pytest.fixture
def index(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """The folder of a package index, and its address."""
    folder = tmp_path / "index"
    (folder / "simple").mkdir(parents=True)
    with served(folder) as address:
        yield folder, f"{address}/simple"
