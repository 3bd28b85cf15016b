"""The verb `run`: a container of an image, and the addresses of what is in it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress

from docker.models.containers import Container

from images import containers, daemon, variables
from images.containers import HOST, published, wait_for
from init import address, tls
from manifests.load import Loaded
from manifests.trouble import told

INTERRUPTED = 130
JUPYTER_WITHIN = 120.0
"""Seconds until JupyterLab has to answer."""


def addresses(container: Container) -> list[tuple[str, str]]:
    """Title and address, token included, of everything that can be opened: JupyterLab first. Raises Trouble."""

    def here(found: re.Match[str]) -> str:
        return f"{found[1]}://{HOST}:{published(container, int(found[2]))}"

    pairs = [line.rpartition(": ") for line in containers.token(container, "--url").splitlines()]
    return [(title, re.sub(r"^(https?)://localhost:(\d+)", here, url)) for title, _, url in pairs]


def run_image(
    loaded: Loaded,
    *,
    image: str | None = None,
    volume: str | None = None,
    env: list[str] | None = None,
    gpus: bool = False,
    detach: bool = False,
    port_offset: int | None = None,
) -> int:
    """The verb `run`: exit code. Starts `image` (without one: what was built last), prints the addresses, and follows
    it until Ctrl-C stops it, or the end of this program."""
    chosen = image or f"{loaded.manifest.name}:dev"

    def action() -> int:
        client = daemon.connect()
        if not detach:
            _hear()
        began = time.monotonic()
        values = variables.given(env or [], os.environ)
        container = containers.start(
            loaded, chosen, client=client, volume=volume, env=values, gpus=gpus, port_offset=port_offset, keep=detach
        )
        try:
            scheme = "https" if tls.wanted(values) else "http"
            url = f"{scheme}://{HOST}:{published(container, loaded.manifest.jupyter.port)}"
            url += address.prefix(values).rstrip("/")
            wait_for(container, lambda: containers.jupyter_answers(url), "JupyterLab answers", JUPYTER_WITHIN)
            (lab, link), *others = addresses(container)
            print(f"{lab} answers after {time.monotonic() - began:.1f} s: {link}")
            for title, link in others:
                print(f"{title}: {link}")
            wait_for(container, lambda: containers.healthy(container), "the container is healthy", JUPYTER_WITHIN)
            if detach:
                print(f"it goes on running: `docker exec {container.name} firstlight status` asks it,")
                print(f"`docker stop {container.name}` ends it, `docker rm -f {container.name}` takes it away")
                return 0
            print("Ctrl-C stops it", flush=True)
            return _follow(container)
        except BaseException as error:
            if not detach:
                if isinstance(error, KeyboardInterrupt):
                    with suppress(OSError):  # the window is closed
                        print("\nstopping it", flush=True)
                containers.stop(container)
            raise

    return told(action)


def _hear() -> None:
    """Take the end of this program, and the closing of its window, for a Ctrl-C. Whoever ignores them means it."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def _follow(container: Container) -> int:
    """Show how far it is where there is a terminal, then wait for its end. Raises KeyboardInterrupt: also for a Ctrl-C
    that went into the container, since Docker hands it to the program that has the terminal there."""
    if sys.stdout.isatty():
        keys = "-it" if sys.stdin.isatty() else "-t"
        command = ["docker", "exec", keys, str(container.id), "firstlight", "status", "--follow"]
        if subprocess.run(command, check=False).returncode == INTERRUPTED:
            raise KeyboardInterrupt
    ended = container.wait()
    containers.stop(container)
    return 0 if ended.get("StatusCode", 1) in (0, 143) else 1
