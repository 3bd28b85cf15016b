"""The cells of a set-up guide for bad days: try again, read logs, see which programs run, and the GPU."""

from __future__ import annotations

from . import runner, tools
from .cell import GO_ON, Machine, Screen, Words, ended, follow, guarded, items, part, tell


def repair() -> None:
    """Try again whatever went wrong, and what waits for it."""

    def work(screen: Screen) -> None:
        machine = Machine()
        before = machine.items()
        verbs = [
            str(item.get("repair") or "") for item in before if item.get("state") in ("failed", "degraded", "stopped")
        ]
        ids = list(dict.fromkeys(verb.split()[-1] for verb in verbs if verb.startswith("firstlight retry ")))
        if not ids:
            tell(screen, Words("Nothing has failed.", "There is nothing to repair.", GO_ON))
            return
        for each in ids:
            try:
                machine.ask("retry", stage=each)
            except runner.Refused:
                continue  # it is at work already: somebody else asked
        touched = [*ids, *(str(item["id"]) for item in before if item.get("state") in ("blocked", "failed"))]
        found = follow(machine, touched, screen)
        if found is not None:
            done = Words(f"Repaired: {', '.join(ids)}.", "What waited for it has gone on.", GO_ON)
            tell(screen, ended(found, done), part(machine.look(), touched))

    guarded(work)


def logs(name: str = "", last: int = 40) -> None:
    """The end of a log; without a name that of what went wrong, or which logs there are."""
    failed = [item for item in Machine().items() if item.get("state") == "failed"] if not name else []
    for item in failed:
        print(f"--- {item.get('title')}: {item.get('message')}")
    for each in [name] if name else [str(item["id"]) for item in failed]:
        print(f"--- the log of {each}")
        said = tools.firstlight("logs", each, "-n", str(last))
        print("It has written none." if not name and said.startswith("firstlight: no log") else said)
    if not failed and not name:
        print("Nothing has failed. These logs there are; `guide.logs('NAME')` shows one:")
        print(tools.firstlight("logs"))


def services() -> None:
    """Every program of this machine: does it run?"""

    def work(screen: Screen) -> None:
        reading = Machine().look()
        ids = [str(item["id"]) for item in items(reading) if str(item["id"]).startswith("service:")]
        programs, said = tools.programs()
        down = [name for name, state in programs if state in ("FATAL", "BACKOFF", "EXITED", "UNKNOWN")]
        text = ", ".join(f"{name} {state.lower()}" for name, state in programs) or said
        if down:
            means, tone = f"{', '.join(down)} does not run.", "failed"
            do = f"`!firstlight logs service:{down[0]}` tells why; `guide.repair()` starts it again."
        else:
            means, do, tone = "All that should run does; STOPPED is what has not been started yet.", "Nothing.", "done"
        tell(screen, Words(f"{text}.", means if programs else "", do if programs else "", tone), part(reading, ids))

    guarded(work)


def gpu() -> None:
    """The GPU and its driver."""

    def work(screen: Screen) -> None:
        so, fine = tools.gpu()
        if fine:
            tell(screen, Words(so, "Programs on this machine can use it.", GO_ON))
            return
        means = "The app may not start, or be very slow; JupyterLab and the set-up do not need a GPU."
        do = "Choose a machine with an NVIDIA GPU; with Docker start the container with `--gpus all`."
        tell(screen, Words(so, means, do, "warning"))

    guarded(work)
