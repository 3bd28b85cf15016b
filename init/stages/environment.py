"""One Python environment of the apps.

Several stages install into it: one at a time. What a kill in the middle of an installation leaves behind is found and
put right before the next one. `freeze.txt` holds the versions that nothing may move; pip in the environment obeys it
too, whoever runs it.
"""

from __future__ import annotations

import csv
import json
import shutil
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from packaging.utils import canonicalize_name

from init import activation
from init.failure import StageFailed
from init.specs import CondaSpec
from init.stages import conda, uv
from init.stages.context import Context

_LOCKS: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)


class Environment:
    """The environment `name` of the plan, for one stage."""

    def __init__(
        self,
        context: Context,
        name: str,
        index: Mapping[str, str] | None = None,
        strategy: str | None = None,
        forbid: Sequence[str] = (),
    ):
        self.context, self.name, self.path = context, name, context.plan.paths.env(name)
        self.python = self.path / "bin" / "python"
        self.freeze_file = self.path / "freeze.txt"
        self.notes = self.path / ".firstlight"
        """What stages remember about it; gone when it is made anew."""
        self._index, self._strategy = index or {}, strategy
        self._forbid: set[str] = {canonicalize_name(name) for name in forbid}

    @property
    def version(self) -> str:
        """Python version, such as `3.12.3`; empty when there is no environment."""
        if found := conda.python_version(self.path):
            return found
        try:
            lines = (self.path / "pyvenv.cfg").read_text().splitlines()
        except OSError:
            return ""
        return next(
            (v.strip() for k, _, v in (line.partition("=") for line in lines) if k.strip() == "version_info"), ""
        )

    @property
    def packages(self) -> Path:
        """The site-packages folder."""
        return next(self.path.glob("lib/python3*/site-packages"), self.path / "lib" / "site-packages")

    def exists(self, version: str | None = None) -> bool:
        found = self.version
        numbered = version is not None and version[0].isdigit()
        return bool(found) and self.python.exists() and (not numbered or f"{found}.".startswith(f"{version}."))

    def create(self, version: str | None, identity: str, channels: CondaSpec | None = None) -> None:
        """Make it, unless it is there already for the same `identity`: anything that should make it anew."""
        file = self.notes / "identity"
        if not self.exists(version) or not file.exists() or file.read_text() != identity:
            shutil.rmtree(self.path, ignore_errors=True)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.context.report(message=f"making the environment {self.name}")
            if channels is not None:
                conda.create(self.context, channels, version, self.path)
            else:
                uv.run(self.context, "venv", "--prompt", self.name, "--python", version or "python3", self.path)
            _write(self._note, "{}")
            _write(self.notes / "strategy", self._strategy or "")
            _write(file, identity)

    def installed(self) -> dict[str, str]:
        """Version by canonical name."""
        found: dict[str, str] = {}
        for folder in self.packages.glob("*.dist-info"):
            name, _, version = folder.name.removesuffix(".dist-info").rpartition("-")
            found[canonicalize_name(name)] = version
        return found

    def frozen(self) -> dict[str, str]:
        try:
            lines = self.freeze_file.read_text().split()
        except OSError:
            return {}
        return {name: version for name, _, version in (line.partition("==") for line in lines)}

    def freeze(self, names: Iterable[str]) -> dict[str, str]:
        """From now on nothing moves these packages, those that are installed. Earlier ones stay frozen."""
        installed = self.installed()
        wanted: list[str] = [canonicalize_name(name) for name in names]
        now = {name: installed[name] for name in wanted if name in installed}
        frozen = dict(sorted({**now, **self.frozen()}.items()))
        lines = [f"{name}=={version}\n" for name, version in frozen.items()]
        _write(self.freeze_file, "".join(lines))
        _write(self._pip_constraints, "".join(lines) + "".join(f"{name}<0\n" for name in self.forbidden()))
        _write(self.path / "pip.conf", f"[global]\nconstraint = {self._pip_constraints.as_uri()}\n")
        return frozen

    def forbidden(self) -> list[str]:
        """Packages that must not be installed, by whichever stage said so."""
        try:
            earlier = self._forbid_file.read_text().split()
        except OSError:
            earlier = []
        return sorted({*earlier, *self._forbid})

    def guards(self) -> dict[str, str]:
        """Variables that make pip and uv obey in programs that call them by themselves."""
        return {
            **self.activated(),
            "PIP_CONSTRAINT": self._pip_constraints.as_uri(),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_INPUT": "1",
            "UV_CONSTRAINT": self.freeze_file.as_uri(),
            "UV_EXCLUDE": self._write_forbidden().as_uri(),
            **uv.environment(self.context),
        }

    def activated(self) -> dict[str, str]:
        """Variables that make it the environment of a program."""
        return activation.variables(self.path, self.context.environ)

    def install(self, requirements: Iterable[str], *words: str | Path) -> None:
        """Install in one resolution, under what is frozen. Raises StageFailed."""
        lines = list(requirements)
        if not lines:
            return
        file = self.notes / f"{self.context.stage.id.replace(':', '.')}.in"
        _write(file, "\n".join(lines) + "\n")
        uv.run(self.context, "pip", "install", *self.target(), *words, "--requirements", file)

    def target(self) -> list[str | Path]:
        """Arguments of `uv pip` that say which environment, which indexes, and what must not move."""
        words: list[str | Path] = ["--python", self.python, "--excludes", self._write_forbidden()]
        for name, url in self._index.items():
            words += ["--index", f"{name}={url}"]
        if strategy := self._strategy or self._made_with:
            words += ["--index-strategy", strategy]
        return [*words, "--constraints", self.freeze_file] if self.freeze_file.exists() else words

    def remove(self, names: Iterable[str]) -> None:
        uv.run(self.context, "pip", "uninstall", "--python", self.python, *names)

    @contextmanager
    def installing(self) -> Iterator[None]:
        """Alone in the environment; whole again if an earlier installation was killed."""
        with _LOCKS[str(self.path)]:
            if self._note.exists():
                self._heal()
            if self.exists():
                _write(self._note, json.dumps(self.installed()))
            try:
                yield
            except StageFailed:
                # What cannot be healed now is healed before the next installation.
                with suppress(StageFailed):
                    self._heal()
                raise
            self._note.unlink(missing_ok=True)

    def damaged(self) -> set[str]:
        """Canonical names of the packages whose files are not all there."""
        names = (folder.name.removesuffix(".dist-info").rpartition("-")[0] for folder in self.unfinished())
        return {canonicalize_name(name) for name in names}

    def repair(self, versions: Mapping[str, str]) -> None:
        """Bring back these versions, and every package that has lost files. Raises StageFailed."""
        installed = self.installed()
        again = {name: installed[name] for name in self.damaged()}
        wanted = {**again, **versions}
        self.install(
            [f"{name}=={version}" for name, version in wanted.items()],
            *(word for name in wanted for word in ("--reinstall-package", name)),
        )

    def unfinished(self) -> list[Path]:
        """The `.dist-info` folders of packages whose files are not all there. Conda answers for its own: it changes
        files after their record was written."""
        return [
            folder for folder in self.packages.glob("*.dist-info") if not (conda.owns(folder) or self._whole(folder))
        ]

    def _whole(self, folder: Path) -> bool:
        try:
            with (folder / "RECORD").open(newline="") as lines:
                rows = [row for row in csv.reader(lines) if row]
        except OSError:
            return False
        # Installers write their own files last: a record without them is the wheel's, of an unfinished installation.
        if not any(row[0].endswith(".dist-info/INSTALLER") for row in rows):
            return False
        for name, _, size in (row[:3] for row in rows if len(row) >= 3):
            try:
                found = (self.packages / name).stat().st_size
            except OSError:
                if name.endswith(".pyc"):
                    continue
                return False
            if size and int(size) != found:
                return False
        return True

    def _heal(self) -> None:
        """Take away half-installed packages, and bring back what was there before them."""
        try:
            before: dict[str, str] = json.loads(self._note.read_text())
        except (OSError, ValueError):
            before = {}
        for folder in self.unfinished():
            shutil.rmtree(folder)
        lost = [f"{name}=={version}" for name, version in before.items() if name not in self.installed()]
        if lost:
            self.context.report(message=f"repairing {len(lost)} packages")
            self.install(lost, "--no-deps")
        self._note.unlink(missing_ok=True)

    @property
    def _made_with(self) -> str:
        """Index strategy of the stage that made it."""
        try:
            return (self.notes / "strategy").read_text()
        except OSError:
            return ""

    @property
    def _note(self) -> Path:
        return self.notes / "installing.json"

    @property
    def _pip_constraints(self) -> Path:
        return self.notes / "pip.txt"

    @property
    def _forbid_file(self) -> Path:
        return self.notes / "forbid.txt"

    def _write_forbidden(self) -> Path:
        _write(self._forbid_file, "".join(f"{name}\n" for name in self.forbidden()))
        return self._forbid_file


def _write(file: Path, text: str) -> None:
    """Replace the file's content at once."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{threading.get_ident()}")
    temporary.write_text(text)
    temporary.rename(file)
