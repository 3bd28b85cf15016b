"""A small image, and records of tests that are nobody else's."""

from __future__ import annotations

from pathlib import Path

import docker as docker_sdk
import pytest

from images import buildx, records


@pytest.fixture(autouse=True)
def tested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's records of tested images stand."""
    place = tmp_path / "tested.json"
    monkeypatch.setattr(records, "TESTED", place)
    return place


@pytest.fixture(scope="session")
def small(base: str, docker: docker_sdk.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image of a few bytes on the base. Its container does what the variable DO says, or nothing."""
    folder = tmp_path_factory.mktemp("small")
    does = 'CMD ["sh", "-c", "eval \\"${DO:-exec sleep 600}\\""]\n'
    (folder / "Dockerfile").write_text(
        f"ARG BASE\nFROM ${{BASE}}\nRUN echo something > /something\nLABEL firstlight=small\n{does}"
    )
    extras = buildx.Extras(provenance=True, compression="zstd")
    buildx.build(folder, ["firstlight-small:1", "firstlight-small:dev"], extras, arguments={"BASE": base})
    return "firstlight-small:1"
