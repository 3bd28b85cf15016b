"""The author's own stage: a program, or a shell line."""

from __future__ import annotations

from pathlib import Path

from init import activation
from init.failure import StageFailed
from init.paths import Paths
from init.specs import CommandSpec
from init.stages.context import Context, Outcome


def run(context: Context) -> Outcome:
    """Run it. Raises StageFailed."""
    spec = context.stage.spec
    assert isinstance(spec, CommandSpec)
    paths = context.plan.paths
    places = {
        "workspace": paths.workspace,
        "models": str(context.plan.models),
        "files": str(paths.files),
        "disk": paths.disk,
    }
    shell = spec.run[:2] == ["sh", "-euc"]
    env = {f"FIRSTLIGHT_{name.upper()}": place for name, place in places.items()}
    env |= {name: _filled(value, places) for name, value in spec.environment.items()}
    if spec.env is not None:
        env |= activation.variables(paths.env(spec.env), {**context.environ, **env})
    words = spec.run if shell else [_filled(word, places) for word in spec.run]
    said: list[str] = []

    def heard(line: str) -> None:
        if line.strip():
            said[:] = [line.strip()]
            context.report(message=line.strip()[:200])

    context.run(words, cwd=_folder(spec, paths), env=env, on_line=heard)
    return Outcome(message=said[0][:200] if said else "")


def _folder(spec: CommandSpec, paths: Paths) -> Path:
    if spec.cwd is None:
        folder = Path(paths.workspace)
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    folder = paths.source(spec.cwd)
    roots = (Path(paths.disk).resolve(), Path(paths.workspace).resolve())
    if not any(folder.resolve().is_relative_to(root) for root in roots):
        raise StageFailed(
            f"the folder {spec.cwd} leads out of {paths.disk} and the workspace", hint="correct `cwd`", retry=False
        )
    return folder


def _filled(word: str, places: dict[str, str]) -> str:
    """`word` with `{workspace}` and the like replaced; other braces stay as they are."""
    for name, place in places.items():
        word = word.replace("{" + name + "}", place)
    return word
