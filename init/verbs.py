"""What one may ask of the runner while it runs: requests of its socket, one JSON object a line.

`{"do": "state"}`; `{"do": "retry", "stage": ID}`, where `service:ID` starts a service again, also one that runs;
`{"do": "start", "stages": [ID, …]}` begins what waits for the user, with what it needs; without ids, everything;
`{"do": "models.add", "set": NAME}`, and so `models.pause` and `models.resume`; `{"do": "models.drop", "set": NAME,
"delete": true}`. The answer is `{"ok": true, "message": …}` (`state` for the first), or `{"ok": false, "error": …}`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from init import lines, record, selection
from init.control import TIMEOUT, Refused
from init.graph import SERVICE
from init.plan import Stage
from init.specs import ModelsSpec

if TYPE_CHECKING:
    from init.runner import Runner


class Verbs:
    """Requests of the control socket. Everything but reading happens in the runner's own thread."""

    def __init__(self, runner: Runner):
        self._runner = runner
        self._verbs: dict[str, Callable[[dict[str, Any]], str]] = {
            "retry": self._retry,
            "start": self._start,
            "models.add": self._add,
            "models.drop": self._drop,
            "models.pause": self._pause,
            "models.resume": self._resume,
        }

    def do(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer. Raises Refused."""
        name = str(request.get("do"))
        if name == "state":
            return {"state": self._runner.store.text()}
        verb = self._verbs.get(name)
        if verb is None:
            raise Refused(f"unknown request {name!r}{selection.closest(name, [*self._verbs, 'state'])}")
        answer: Future[str] = Future()

        def work() -> None:
            try:
                said = verb(request)
                # Who reads the answer sees what it says.
                self._runner.show_sets()
                answer.set_result(said)
            except Exception as error:
                answer.set_exception(error)

        self._runner.inbox.put(work)
        return {"message": answer.result(TIMEOUT - 1)}

    def _start(self, request: dict[str, Any]) -> str:
        runner, graph = self._runner, self._runner.graph
        names = request.get("stages") or []
        if not isinstance(names, list):
            raise Refused("`stages` is no list of ids")
        asked = [self._known(str(name)) for name in names]
        for key in asked:
            if graph.state[key] == "skipped" and not key.startswith(SERVICE):
                self._retry({"stage": key})
        keys = graph.with_needs(asked) if asked else list(graph.nodes)
        held = [key for key in keys if key in graph.held]
        failed = [key for key in keys if graph.state[key] == "failed"]
        runner.release(held)
        for key in failed:
            self._retry({"stage": key})
        if held or failed:
            return f"{_listed([*held, *failed])} begin{'s' if len(held) + len(failed) == 1 else ''}"
        if not asked:
            return "nothing waits for you"
        return "; ".join(f"{key} is {_word(graph.state[key])} already" for key in asked)

    def _retry(self, request: dict[str, Any]) -> str:
        key = self._known(str(request.get("stage", "")))
        runner = self._runner
        if runner.guided and key in runner.graph.held:
            return self._start({"stages": [key]})
        if key.startswith(SERVICE):
            return self._restart(key.removeprefix(SERVICE))
        state = runner.graph.state[key]
        if state == "blocked":
            cause = runner.graph.cause(key)
            if cause is not None:
                return f"{key} waits for {cause}: {self._retry({'stage': cause})}"
        if state == "running":
            raise Refused(f"{key} is at work already; `firstlight logs {key} -f` shows how far it is")
        stage = runner.plan.stage(key)
        if key in runner.graph.held and isinstance(stage.spec, ModelsSpec):
            return self._resume({"set": stage.spec.set})
        if state == "waiting":
            waits = ", ".join(runner.graph.unmet(key)) or "a free place"
            raise Refused(f"{key} has not started yet: it waits for {waits}")
        if state == "skipped" and isinstance(stage.spec, ModelsSpec):
            return self._add({"set": stage.spec.set})
        record.drop(runner.plan, stage)
        runner.again.add(key)
        runner.reset(runner.graph.reset(key, dependents=True))
        return f"{key} starts again"

    def _restart(self, name: str) -> str:
        runner, key = self._runner, SERVICE + name
        if runner.graph.state[key] == "blocked":
            cause = runner.graph.cause(key)
            if cause is not None:
                return f"{name} waits for {cause}: {self._retry({'stage': cause})}"
        if runner.graph.state[key] == "waiting":
            raise Refused(f"{name} has not started yet: it waits for {', '.join(runner.graph.unmet(key))}")
        runner.reset([other for other in runner.graph.reset(key) if other != key])
        runner.serve(name, restart=True)
        return f"{name} starts again"

    def _add(self, request: dict[str, Any]) -> str:
        runner, stage = self._runner, self._set(request)
        name = str(request["set"])
        runner.sets.changes.add(name)
        self._keep()
        if stage.id in runner.graph.held:
            return self._resume(request)
        if runner.graph.state[stage.id] != "skipped":
            return f"{name} is selected already: {runner.store.get_stage(stage.id).state}"
        assert isinstance(stage.spec, ModelsSpec)
        runner.sets.queue(stage.spec)
        runner.reset(runner.graph.reset(stage.id))
        return f"{name} is being fetched; `firstlight status --follow` shows how far it is"

    def _drop(self, request: dict[str, Any]) -> str:
        runner, stage = self._runner, self._set(request)
        name = str(request["set"])
        runner.sets.changes.drop(name)
        self._keep()
        gone = runner.drop(stage, delete=bool(request.get("delete")))
        runner.skip(stage, f"dropped; `firstlight models add {name}` fetches it again")
        stay = "" if request.get("delete") else f"; its files stay until `firstlight models drop {name} --delete`"
        return f"{name} is dropped, {lines.size(gone)} are free again" if gone else f"{name} is dropped{stay}"

    def _pause(self, request: dict[str, Any]) -> str:
        runner, stage = self._runner, self._set(request)
        name, state = str(request["set"]), runner.graph.state[stage.id]
        if stage.id in runner.graph.held:
            raise Refused(f"{name} is paused already; `firstlight models resume {name}` goes on with it")
        if state not in ("waiting", "running"):
            raise Refused(f"{name} is not being fetched: it is {state}")
        runner.pause(stage)
        return f"{name} is paused; `firstlight models resume {name}` goes on where it stopped"

    def _resume(self, request: dict[str, Any]) -> str:
        runner, stage = self._runner, self._set(request)
        name = str(request["set"])
        if stage.id not in runner.graph.held:
            raise Refused(f"{name} is not paused: it is {runner.graph.state[stage.id]}")
        runner.release([stage.id])
        return f"{name} goes on"

    def _set(self, request: dict[str, Any]) -> Stage:
        name = str(request.get("set", ""))
        for stage in self._runner.plan.stages:
            if isinstance(stage.spec, ModelsSpec) and stage.spec.set == name:
                return stage
        known = [spec.set for spec in selection.sets(self._runner.plan)]
        raise Refused(f"no model set {name!r}{selection.closest(name, known)}")

    def _keep(self) -> None:
        try:
            self._runner.sets.keep()
        except OSError as error:
            raise Refused(f"the choice cannot be kept on the workspace: {error.strerror}; free some space") from None

    def _known(self, name: str) -> str:
        nodes = self._runner.graph.nodes
        if name in nodes:
            return name
        if SERVICE + name in nodes:
            return SERVICE + name
        if f"models:{name}" in nodes:
            return f"models:{name}"
        raise Refused(f"no stage {name!r}{selection.closest(name, nodes)}")


def _listed(keys: list[str]) -> str:
    """`a`, `a and b`, `a, b and 7 more`."""
    if len(keys) > 3:
        return f"{', '.join(keys[:2])} and {len(keys) - 2} more"
    return " and ".join(filter(None, [", ".join(keys[:-1]), keys[-1]]))


def _word(state: str) -> str:
    return {"running": "at work", "waiting": "on its way"}.get(state, state)
