"""Custom nodes: plug-ins of an app with requirements and install scripts of their own.

A node may bring what it likes, but not move what is frozen: the versions are compared before and after each one, the
node that moved something is named, and what it moved is put back.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from init.failure import StageFailed
from init.specs import NodeSpec, NodesSpec
from init.stages.code import Checkout, put
from init.stages.context import Context, Outcome
from init.stages.environment import Environment
from init.stages.requirements import parse, read, satisfied, without_frozen

CLONES = 4
"""Nodes fetched at a time."""
SCRIPT_WITHIN = 1200.0
"""Longest run of one install script, in seconds."""


@dataclass
class Node:
    """What became of one node."""

    name: str
    commit: str = ""
    state: str = "failed"
    message: str = ""
    fingerprint: str = ""
    changed: dict[str, list[str]] = field(default_factory=dict)
    """Packages that it changed: version before (empty: none) and after."""
    retry: bool = field(default=False, compare=False)


def run(context: Context) -> Outcome:
    """Fetch all nodes, then install one after the other. Raises StageFailed when a required one cannot be installed."""
    spec = context.stage.spec
    assert isinstance(spec, NodesSpec)
    environment = Environment(context, spec.env, spec.index, spec.index_strategy, spec.forbid)
    if not environment.exists():
        hint = f"firstlight retry {spec.env}"
        raise StageFailed(f"the environment {spec.env} does not exist", hint=hint, retry=False)
    environment.freeze(spec.freeze)
    installer = _Installer(context, spec, environment, _folder(context, spec))
    remarks = installer.restore()
    found = installer.pass_over(spec.nodes)
    again = [node for node in spec.nodes if found[node.name].retry]
    if again:
        found |= installer.pass_over(again)
    return _outcome(context, spec, installer, [found[node.name] for node in spec.nodes], remarks)


def _folder(context: Context, spec: NodesSpec) -> Path:
    path = PurePosixPath(spec.into)
    if path.is_absolute() or ".." in path.parts or len(path.parts) < 2:
        raise StageFailed(f"the folder {spec.into!r} leaves its source", hint="correct `nodes.into`", retry=False)
    if not context.plan.paths.source(path.parts[0]).is_dir():
        hint = f"firstlight retry {path.parts[0]}"
        raise StageFailed(f"the source {path.parts[0]} is not there", hint=hint, retry=False)
    return context.plan.paths.source(spec.into)


def _outcome(
    context: Context, spec: NodesSpec, installer: _Installer, nodes: list[Node], remarks: list[str]
) -> Outcome:
    facts = [{k: v for k, v in asdict(node).items() if k not in ("fingerprint", "retry")} for node in nodes]
    result: dict[str, Any] = {"nodes": facts}
    failed = {node.name: node for node in nodes if node.state != "done"}
    lost = [node for node in spec.nodes if node.name in failed]
    consequence = "; ".join(node.consequence or f"{node.name} will not work" for node in lost) or None
    told = "; ".join(f"{node.name}: {node.message}" for node in failed.values())
    if any(not node.optional for node in lost):
        raise StageFailed(told, hint=f"see {context.log}", retry=False, consequence=consequence, result=result)
    remarks += [f"{node.name}: {node.message}" for node in nodes if node.message and node.state == "done"]
    message = "; ".join([f"{len(nodes) - len(failed)} of {len(nodes)} nodes", *([told] if told else []), *remarks])
    made = [installer.into / node.name for node in nodes if node.state == "done"]
    state = "degraded" if failed else "done"
    return Outcome(state, message, consequence, result, [installer.record, *made])  # type: ignore[arg-type]


class _Installer:
    def __init__(self, context: Context, spec: NodesSpec, environment: Environment, into: Path):
        self.context, self.spec, self.environment, self.into = context, spec, environment, into
        self.record = environment.notes / "nodes.json"
        """What is installed in this environment; gone with it."""

    def restore(self) -> list[str]:
        """Put back what was moved outside of this stage, or in one that was killed; remarks. Raises StageFailed."""
        installed = self.environment.installed()
        wrong = {name: v for name, v in self.environment.frozen().items() if installed.get(name) != v}
        if not wrong:
            return []
        with self.environment.installing():
            self.environment.repair(wrong)
        told = ", ".join(f"{name} was {installed.get(name, 'gone')}" for name in wrong)
        return [f"{told}; put back"]

    def pass_over(self, nodes: list[NodeSpec]) -> dict[str, Node]:
        """Fetch and install these; what became of them, by name."""
        self.into.mkdir(parents=True, exist_ok=True)
        self.context.report(message=f"fetching {len(nodes)} nodes")
        with ThreadPoolExecutor(CLONES, "nodes") as pool:
            checkouts = dict(zip((node.name for node in nodes), pool.map(self._fetch, nodes), strict=True))
        self._stop_if_asked()
        found = {}
        for number, node in enumerate(nodes, 1):
            checkout = checkouts[node.name]
            self.context.report(message=f"{node.name} ({number} of {len(nodes)})")
            if isinstance(checkout, StageFailed):
                found[node.name] = Node(node.name, message=checkout.message, retry=checkout.retry)
            else:
                found[node.name] = self._install(node, checkout)
            self._stop_if_asked()
        return found

    def _stop_if_asked(self) -> None:
        if self.context.cancel.is_set():
            raise StageFailed("stopped", retry=False)

    def _fetch(self, node: NodeSpec) -> Checkout | StageFailed:
        try:
            return put(self.context, node.code, self.into / node.name)
        except StageFailed as failure:
            return failure

    def _install(self, node: NodeSpec, checkout: Checkout) -> Node:
        fingerprint = self._fingerprint(node, checkout)
        known = self._known().get(node.name)
        if known is not None and known.fingerprint == fingerprint and known.state == "done" and not checkout.fresh:
            return known
        found = Node(node.name, checkout.commit, "done", checkout.note, fingerprint)
        with self.environment.installing():
            before = self.environment.installed()
            remarks, failures = self._install_requirements(node)
            if not failures:
                failures += self._run_script(node)
            remarks += self._put_back(node, before)
            after = self.environment.installed()
        found.changed = {
            name: [before.get(name, ""), after.get(name, "")]
            for name in sorted({*before, *after})
            if before.get(name) != after.get(name)
        }
        if failures:
            found.state, found.retry = "failed", any(failure.retry for failure in failures)
        texts = [failure.message for failure in failures] + remarks
        found.message = "; ".join(text for text in [found.message, *texts] if text)
        self._note(found)
        return found

    def _install_requirements(self, node: NodeSpec) -> tuple[list[str], list[StageFailed]]:
        """One installation a line, so that a bad line costs no more than itself. Remarks and failures."""
        folder = self.into / node.name
        wanted = read(folder / "requirements.txt", folder) if (folder / "requirements.txt").is_file() else None
        lines = [*(wanted.lines if wanted else []), *parse(node.packages, "manifest")]
        rest, kept = without_frozen(lines, self.environment.frozen())
        remarks = [str(line) for line in kept] + (wanted.problems if wanted else [])
        failures = []
        for line in dict.fromkeys(rest):
            if satisfied(line, self.environment.installed()):
                continue
            self.context.report(message=f"{node.name}: {line.text}")
            try:
                self.environment.install([line.text], *(wanted.options if wanted else []))
            except StageFailed as failure:
                self._stop_if_asked()
                text = f"{line.text} ({line.place}) could not be installed: {failure.message}"
                failures.append(StageFailed(text, hint=failure.hint, retry=failure.retry))
        return remarks, failures

    def _run_script(self, node: NodeSpec) -> list[StageFailed]:
        folder = self.into / node.name
        if not (folder / "install.py").is_file():
            return []
        self.context.report(message=f"{node.name}: install.py")
        source = self.context.plan.paths.source(PurePosixPath(self.spec.into).parts[0])
        # The variable is ComfyUI-Manager's; install scripts read it.
        env = {**self.environment.guards(), "COMFYUI_PATH": str(source)}
        try:
            self.context.run([self.environment.python, "install.py"], cwd=folder, env=env, within=SCRIPT_WITHIN)
        except StageFailed as failure:
            self._stop_if_asked()
            return [StageFailed(f"install.py failed: {failure.message}", hint=failure.hint, retry=False)]
        finally:
            # The script may have changed the files that guard the environment.
            self.environment.freeze(self.spec.freeze)
        return []

    def _put_back(self, node: NodeSpec, before: dict[str, str]) -> list[str]:
        """Undo what the node did to frozen and forbidden packages; remarks. Raises StageFailed when that fails."""
        environment = self.environment
        remarks = []
        after = environment.installed()
        forbidden = [name for name in environment.forbidden() if name in after and name not in before]
        if forbidden:
            environment.remove(forbidden)
            remarks.append(f"installed {', '.join(forbidden)}, which must not be there; removed")
        frozen = environment.frozen()
        moved = {name: after.get(name, "nothing") for name in frozen if after.get(name) != before.get(name)}
        if after == before and not (self.into / node.name / "install.py").is_file():
            return remarks
        damaged = environment.damaged() - {*moved}
        if not moved and not damaged:
            return remarks
        told = ", ".join(f"{name} from {frozen[name]} to {version}" for name, version in moved.items())
        try:
            environment.repair({name: frozen[name] for name in moved})
        except StageFailed as failure:
            raise StageFailed(
                f"{node.name} moved {told}, and it could not be put back: {failure.message}",
                hint=f"take {node.name} out of the manifest, or retry",
                consequence="the app may not start",
            ) from None
        if moved:
            remarks.append(f"moved {told}; put back")
        return remarks

    def _fingerprint(self, node: NodeSpec, checkout: Checkout) -> str:
        """What the installation depends on besides the environment."""
        guards = [sorted(self.environment.frozen().items()), self.environment.forbidden()]
        return hashlib.sha256(json.dumps([checkout.commit, node.packages, *guards]).encode()).hexdigest()

    def _known(self) -> dict[str, Node]:
        try:
            return {item["name"]: Node(**item) for item in json.loads(self.record.read_text())}
        except (OSError, ValueError, TypeError, KeyError):
            return {}

    def _note(self, node: Node) -> None:
        known = {**self._known(), node.name: node}
        temporary = self.record.with_suffix(".new")
        temporary.write_text(json.dumps([asdict(item) for item in known.values()], indent=1))
        temporary.rename(self.record)
