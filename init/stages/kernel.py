"""Compiled extensions: a prebuilt wheel, a cached one, or one compiled here; then a probe that runs the kernel.

An import proves nothing: only what the probe has run is switched on. When nothing works the stage says why, and its
users start without it.
"""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from init.failure import StageFailed
from init.kernel import gpu, key
from init.kernel.build import build
from init.kernel.cache import WheelCache
from init.kernel.key import Key
from init.kernel.wheel import fits, package
from init.process import gist
from init.specs import KernelSpec
from init.stages.code import identity, put
from init.stages.context import Context, Outcome
from init.stages.environment import Environment

PROBE_WITHIN = 600.0
"""Longest run of a probe, in seconds."""
_WORKS, _UNSUPPORTED = 0, 2


class Unusable(Exception):
    """It does not work on this machine, and another attempt would end the same way."""

    def __init__(self, message: str, hint: str | None = None):
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(frozen=True)
class Probe:
    """What the probe found; `reason` is what it printed."""

    code: int
    reason: str

    @property
    def works(self) -> bool:
        return self.code == _WORKS


def run(context: Context) -> Outcome:
    """Install a working kernel. Raises StageFailed; with `on_failure: degrade` most failures are an Outcome instead."""
    spec = context.stage.spec
    assert isinstance(spec, KernelSpec)
    environment = Environment(context, spec.env, spec.index)
    if not environment.exists():
        hint = f"firstlight retry {spec.env}"
        raise StageFailed(f"the environment {spec.env} does not exist", hint=hint, retry=False)
    try:
        return _Kernel(context, spec, environment).run()
    except Unusable as problem:
        consequence = context.stage.consequence or f"{' and '.join(spec.adds) or 'all'} goes without {spec.name}"
        if context.stage.on_failure == "fail":
            raise StageFailed(problem.message, hint=problem.hint, retry=False, consequence=consequence) from None
        message = f"{problem.message}; {problem.hint}" if problem.hint else problem.message
        return Outcome("degraded", message, consequence, {"reason": problem.message})


def abi(context: Context) -> dict[str, str]:
    spec = context.stage.spec
    assert isinstance(spec, KernelSpec)
    facts = {"machine": platform.machine(), "libc": "-".join(platform.libc_ver())}
    if spec.arch:
        facts["gpu"] = ",".join(gpu.capabilities(context.environ))
    return facts


class _Kernel:
    def __init__(self, context: Context, spec: KernelSpec, environment: Environment):
        self.context, self.spec, self.environment = context, spec, environment
        self.found = gpu.capabilities(context.environ) if spec.arch else []
        paths = context.plan.paths
        self.wheels = paths.state / "wheels"
        self.builds = Path(paths.disk, "build", spec.name)
        baked = Path(paths.disk, "wheels")
        self.cache = WheelCache(*((baked,) if context.baking else (self.wheels, baked)))
        self.notes: list[str] = []

    def run(self) -> Outcome:
        if self.context.baking and self.spec.arch and not self.found:
            return self._bake()
        arch = self._targets()
        if outcome := self._prebuilt(arch):
            return outcome
        key = self._key(arch)
        if outcome := self._cached(key):
            return outcome
        with self._alone(key):
            # Another machine may have built it meanwhile.
            if outcome := self._cached(key):
                return outcome
            began = time.monotonic()
            wheel = self.cache.insert(key, self._build(key, arch))
            seconds = round(time.monotonic() - began)
        probe = self._try(wheel)
        if probe.works:
            return self._done(wheel, "built", f"compiled in {seconds} s", arch)
        if probe.code != _UNSUPPORTED:
            self.cache.throw_away(key)
        self._remove(wheel)
        raise self._unusable(probe)

    def _targets(self) -> list[str]:
        if not self.spec.arch:
            return []
        if not self.found:
            raise Unusable("no GPU was found", "start on a machine with an NVIDIA GPU")
        arch = gpu.targets(self.found, self.spec.arch, self.spec.exclusive)
        if not arch:
            raise Unusable(
                f"{self.spec.name} does not support this GPU (compute capability {', '.join(self.found)};"
                f" it supports {', '.join(self.spec.arch)})"
            )
        return arch

    def _key(self, arch: Sequence[str]) -> Key:
        source = identity(self.context, self.spec.code)
        return key.make(self.spec, source, arch, self.environment, self.context.environ)

    def _prebuilt(self, arch: Sequence[str]) -> Outcome | None:
        """The first prebuilt wheel that fits and works."""
        for wheel in self.spec.wheels:
            name = wheel.url.rpartition("/")[2].partition("?")[0]
            if not fits(wheel, name, arch, self.environment.version):
                continue
            file = self.wheels / "prebuilt" / wheel.sha256 / name
            try:
                if self.context.fetcher is None:
                    raise StageFailed("nothing here can fetch it")
                self.context.report(message=f"fetching {name}")
                self.context.fetcher.fetch_file(wheel.url, file, wheel.sha256, self.context.cancel)
                probe = self._try(file)
            except StageFailed as failure:
                self._stop_if_asked()
                self.notes.append(f"{name}: {failure.message}")
                continue
            if probe.works:
                return self._done(file, "prebuilt", "prebuilt wheel", arch)
            self.notes.append(f"{name} does not work here: {probe.reason}")
            self._remove(file)
        return None

    def _cached(self, key: Key) -> Outcome | None:
        wheel = self.cache.find(key)
        if wheel is None:
            return None
        probe = self._try(wheel)
        if probe.works:
            return self._done(wheel, "cache", "from the wheel cache", key.arch.split(";") if key.arch else [])
        if probe.code == _UNSUPPORTED:
            self._remove(wheel)
            raise self._unusable(probe)
        self.notes.append(f"the cached wheel did not work ({probe.reason}) and was thrown away")
        self.cache.throw_away(key)
        return None

    def _build(self, key: Key, arch: Sequence[str]) -> Path:
        # Build tools take up what is compiled already, whatever it was compiled for: each key has its own folder.
        folder = self.builds / key.folder()
        self.context.report(message=f"fetching {self.spec.code.git or self.spec.code.path}")
        put(self.context, self.spec.code, folder)
        with self.environment.installing():
            self.environment.install(self.spec.packages)
        try:
            return build(self.context, self.spec, folder, arch, self.environment)
        except StageFailed as failure:
            self._stop_if_asked()
            raise Unusable(f"{self.spec.name} could not be compiled: {failure.message}", failure.hint) from None

    def _bake(self) -> Outcome:
        """Wheels for every GPU that the manifest names, for a start to choose from: here is none to try them on."""
        spec = self.spec
        groups = [[c] for c in spec.exclusive if c in spec.arch]
        groups += [[c] for c in spec.arch if c not in spec.exclusive]
        for arch in groups:
            key = self._key(arch)
            if self.cache.find(key) is None:
                self.cache.insert(key, self._build(key, arch))
        self._clear()
        return Outcome("skipped", f"{len(groups)} wheels are built; the one for the GPU is installed at start")

    def _try(self, wheel: Path) -> Probe:
        """Install the wheel, and run the probe."""
        with self.environment.installing():
            name = package(wheel)
            self.context.report(message=f"installing {wheel.name}")
            self.environment.install([f"{name} @ {wheel.as_uri()}"], "--reinstall-package", name)
        probe = self.context.plan.paths.files / self.spec.probe
        self.context.report(message=f"running {self.spec.probe}")
        lines: list[str] = []
        env = self.environment.activated()
        argv, folder = [self.environment.python, probe], Path(self.context.plan.paths.disk)
        try:
            code = self.context.run(argv, cwd=folder, env=env, within=PROBE_WITHIN, check=False, on_line=lines.append)
        except StageFailed as failure:
            self._stop_if_asked()
            return Probe(-1, failure.message)
        return Probe(code, gist(lines) or f"the probe ended with {code}")

    def _done(self, wheel: Path, origin: str, told: str, arch: Sequence[str]) -> Outcome:
        self._clear()
        note = self.environment.notes / f"{self.spec.name}.done"
        note.write_text(wheel.name + "\n")
        gpus = f" for compute capability {', '.join(arch)}" if arch else ""
        result = {"wheel": wheel.name, "origin": origin, "arch": list(arch), "gpu": self.found, "remarks": self.notes}
        return Outcome("done", "; ".join([f"{told}{gpus}", *self.notes]), result=result, made=[note])

    def _unusable(self, probe: Probe) -> Unusable:
        if probe.code == _UNSUPPORTED:
            return Unusable(f"{self.spec.name} does not support this machine: {probe.reason}")
        return Unusable(f"{self.spec.name} was built, but does not work: {probe.reason}", f"see {self.context.log}")

    def _remove(self, wheel: Path) -> None:
        """Take out what does not work, so that nothing imports it by chance."""
        with self.environment.installing():
            self.environment.remove([package(wheel)])

    def _clear(self) -> None:
        shutil.rmtree(self.builds, ignore_errors=True)

    def _stop_if_asked(self) -> None:
        if self.context.cancel.is_set():
            raise StageFailed("stopped", retry=False)

    @contextmanager
    def _alone(self, key: Key) -> Iterator[None]:
        """Wait until no other machine on this volume is building the same."""
        from init.fetch.lease import Lease

        lease = Lease(self.cache.folders[0] / ".leases" / key.folder())
        while not lease.acquire():
            self.context.report(message=f"{lease.owner} is compiling it for both")
            if self.context.cancel.wait(1.0):
                raise StageFailed("stopped", retry=False)
        try:
            yield
        finally:
            lease.release()
