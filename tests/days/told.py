"""Model sets of a container: what its state tells of them, and whether the verb that it names repairs them."""

from __future__ import annotations

import shlex
from pathlib import Path

from init import state
from init.fetch.verify import digest
from init.plan import Stage
from init.specs import FileSpec, ModelsSpec
from tests.images.machine import Machine
from tests.origin.server import Published
from tests.waiting import until


def stage(name: str, file: Published) -> Stage:
    spec = ModelsSpec(name, [FileSpec(f"{name}.bin", file.url, file.commit, file.size, file.sha256)], default=True)
    return Stage(f"models:{name}", "models", name, [], spec, uses="net", attempts=1, consequence=f"No {name}.")


def told(workspace: Path, name: str) -> state.StageState:
    snapshot = state.read(workspace / ".firstlight")
    assert snapshot is not None
    return next(stage for stage in snapshot.stages if stage.id == f"models:{name}")


def reaches(workspace: Path, name: str, wanted: str, said: str = "") -> state.StageState:
    def there() -> state.StageState | None:
        now = told(workspace, name)
        return now if now.state == wanted and said in now.message else None

    try:
        found = until(there, within=60)
    except AssertionError:
        raise AssertionError(f"{name}: wanted {wanted} and {said!r}, have {told(workspace, name)}") from None
    assert found is not None
    return found


def only_whole_files(models: Path, files: dict[str, Published]) -> None:
    """Whatever stands under a final name is what it should be."""
    for name, file in files.items():
        final = models / f"{name}.bin"
        assert not final.exists() or digest(final) == file.sha256, name


def repaired(machine: Machine, workspace: Path, failed: state.StageState) -> None:
    """The verb that the state names does what it promises."""
    assert failed.repair == f"firstlight retry {failed.id}"
    machine.run(*shlex.split(failed.repair))
    reaches(workspace, failed.id.removeprefix("models:"), "done")
