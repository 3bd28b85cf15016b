"""The other ways to get a file, for when no bytes come through aria2.

`hub`: huggingface_hub's own transport (Xet, or plain), in a process of its own. `plain`: one connection from Python,
which asks only for what aria2's control file does not list.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from init.fetch import web
from init.fetch.job import control, discard, forget
from init.fetch.login import hub_token
from init.fetch.notes import missing
from init.fetch.sources import Address, HubFile, hub_process
from init.fetch.trouble import HUB, Trouble, bare, refusal
from init.fetch.verify import Cancelled

BLOCK = 1 << 18
OnBytes = Callable[[int], None]


def plain(address: Address, partial: Path, size: int | None, on_bytes: OnBytes, cancel: threading.Event) -> None:
    """Complete `partial` over one connection. Raises Trouble, OSError, Cancelled."""
    if size is None:
        discard(partial)
    gaps: Sequence[tuple[int, int | None]] | None = missing(control(partial), size) if partial.exists() else None
    if gaps is None:
        discard(partial)
        gaps = [(0, size)]
    done = (size or 0) - sum(end - start for start, end in gaps if end is not None)
    mode = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    with os.fdopen(os.open(partial, mode, 0o644), "r+b", buffering=0) as file:
        for start, end in gaps:
            done = _range(address, file.fileno(), start, end, done, on_bytes, cancel)
        if size is not None:
            os.ftruncate(file.fileno(), size)
    forget(partial)


def _range(
    address: Address, handle: int, start: int, end: int | None, done: int, on_bytes: OnBytes, cancel: threading.Event
) -> int:
    """Write the bytes [start, end) of a file; gives `done` with them added."""
    headers = {} if start == 0 and end is None else {"Range": f"bytes={start}-{'' if end is None else end - 1}"}
    url = address.url
    reply = web.follow(url, headers=headers, secret=address.secret)
    with contextlib.closing(reply.body):
        if reply.status not in (200, 206):
            raise refusal(reply.status, bare(url), retry_after=reply.headers.get("Retry-After"))
        skip = start if reply.status == 200 else 0
        at, limit = start - skip, end
        while limit is None or at < limit:
            try:
                data = reply.body.read(BLOCK if limit is None else min(BLOCK, limit - at))
            except (OSError, http.client.HTTPException) as error:
                raise Trouble(f"{bare(url)}: the connection broke ({error})") from None
            if cancel.is_set():
                raise Cancelled
            if not data:
                if limit is not None:
                    raise Trouble(f"{bare(url)}: the connection ended early")
                break
            use = data[max(0, start - at) :]
            if use:
                os.pwrite(handle, use, at + len(data) - len(use))
                done += len(use)
                on_bytes(done)
            at += len(data)
    return done


def hub(
    file: HubFile,
    revision: str,
    endpoint: str,
    environ: Mapping[str, str],
    partial: Path,
    root: Path,
    on_bytes: OnBytes,
    cancel: threading.Event,
) -> None:
    """Fetch the whole file with huggingface_hub, into `partial`. Raises Trouble, OSError, Cancelled."""
    name = hashlib.sha256(f"{file.repo}@{revision}/{file.path}".encode()).hexdigest()[:16]
    folder = root / ".firstlight-hub" / name
    folder.mkdir(parents=True, exist_ok=True)
    order = {
        "repo": file.repo,
        "path": file.path,
        "revision": revision,
        "endpoint": endpoint,
        "folder": str(folder),
    }
    process = hub_process(environ)
    watch = threading.Thread(target=_watch, args=(process, folder, on_bytes, cancel), daemon=True, name="hub-bytes")
    watch.start()
    out, _ = process.communicate(json.dumps(order) + "\n")
    watch.join()
    if cancel.is_set():
        raise Cancelled
    reply: dict[str, Any] = (
        json.loads(out) if out else {"error": f"ended with status {process.returncode}", "status": None}
    )
    if "path" not in reply:
        if reply.get("status"):
            raise refusal(
                reply["status"],
                f"{file.repo}/{file.path}",
                code=reply.get("code", ""),
                retry_after=reply.get("retry_after"),
                service=HUB,
                token=hub_token(environ) is not None,
                page=f"{endpoint}/{file.repo}",
            )
        raise Trouble(f"{file.path}: huggingface_hub could not fetch it ({reply['error'].split('http')[0]})")
    discard(partial)
    Path(reply["path"]).replace(partial)
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()


def _watch(process: subprocess.Popen[str], folder: Path, on_bytes: OnBytes, cancel: threading.Event) -> None:
    """Tell how many bytes there are, and end the process when nobody wants it any more."""
    while process.poll() is None:
        if cancel.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            return
        there = 0
        for path in folder.rglob("*"):
            with contextlib.suppress(OSError):
                if path.is_file():
                    there = max(there, path.stat().st_size)
        on_bytes(there)
        time.sleep(0.2)
