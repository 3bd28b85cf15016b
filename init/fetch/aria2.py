"""aria2 processes: started, told what to fetch, asked how far they are.

Options are set as measured: one aria2 works on one core, so there are several; it is asked rarely and for few keys.
It never sees a token (a header would follow redirects to other hosts), and its secret is not on its command line.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from init.fetch.web import AGENT

if TYPE_CHECKING:
    from init.fetch.rpc import Rpc

ACTIVE = ["gid", "status", "completedLength", "totalLength", "downloadSpeed"]
STOPPED = [*ACTIVE, "errorCode", "errorMessage"]

OPTIONS = {
    "enable-rpc": "true",
    "rpc-listen-all": "false",
    "quiet": "true",
    "summary-interval": "0",
    "user-agent": f"{AGENT} aria2",
    "max-concurrent-downloads": "64",
    "min-split-size": "1M",
    "continue": "true",
    "always-resume": "false",
    "max-resume-failure-tries": "0",
    "auto-file-renaming": "false",
    "allow-overwrite": "true",
    "auto-save-interval": "1",
    "connect-timeout": "15",
    "timeout": "30",
    "max-tries": "4",
    # 0 leaves a 503 to us, who know Retry-After.
    "retry-wait": "0",
    "max-file-not-found": "1",
    "no-netrc": "true",
    "follow-torrent": "false",
    "follow-metalink": "false",
    "enable-dht": "false",
    "bt-enable-lpd": "false",
    "keep-unfinished-download-result": "true",
    "max-download-result": "1000",
}
BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


@dataclass(frozen=True)
class Progress:
    """One download as aria2 sees it. `status`: active, complete, error, removed."""

    gid: str
    status: str
    done: int
    total: int
    rate: float
    code: int = 0
    text: str = ""


class Aria2:
    """One running aria2. Start it from a thread that outlives it: it is killed when that thread ends."""

    def __init__(self, run: Path, environ: Mapping[str, str], *, calm: bool, keep: int | None, cache: str = "0"):
        """`run`: folder for its configuration; `keep`: file handle that it holds open as long as it lives;
        `cache`: what it gathers before it writes, of use on network volumes only."""
        self._run, self._environ, self._calm, self._keep, self._cache = run, environ, calm, keep, cache
        self.port = _free_port()
        self._secret = secrets.token_urlsafe(24)
        self.gids: set[str] = set()
        self._rpc: Rpc | None = None
        self._configuration = run / f"aria2-{self.port}.conf"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        self._run.mkdir(parents=True, exist_ok=True)
        bundle = self._environ.get("SSL_CERT_FILE") or next((b for b in BUNDLES if Path(b).exists()), None)
        options = {
            **OPTIONS,
            "rpc-listen-port": str(self.port),
            "rpc-secret": self._secret,
            "stop-with-process": str(os.getpid()),
            "disk-cache": self._cache,
            **({"ca-certificate": bundle} if bundle else {}),
        }
        handle = os.open(self._configuration, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.writelines(f"{name}={value}\n" for name, value in options.items())
        wrappers = []
        if self._calm and shutil.which("chrt") and shutil.which("ionice"):
            wrappers = ["chrt", "-i", "0", "ionice", "-c3"]
        if shutil.which("setpriv"):
            wrappers += ["setpriv", "--pdeathsig", "KILL"]
        secret = ("TOKEN", "SECRET", "PASSWORD", "KEY")
        return subprocess.Popen(
            [*wrappers, "aria2c", f"--conf-path={self._configuration}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={k: v for k, v in self._environ.items() if not any(word in k.upper() for word in secret)},
            pass_fds=[] if self._keep is None else [self._keep],
            start_new_session=True,
        )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def ready(self, within: float = 15.0) -> None:
        """Wait until it answers. Raises OSError when it does not."""
        if self._rpc is not None:
            return
        from init.fetch.rpc import Rpc

        rpc, deadline = Rpc(self.port, self._secret), time.monotonic() + within
        while True:
            try:
                rpc.call("aria2.getVersion")
                self._rpc = rpc
                break
            except OSError:
                if not self.alive or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        with contextlib.suppress(OSError):
            self._configuration.unlink()

    def add(self, url: str, partial: Path, *, connections: int, allocation: str) -> str:
        """Begin, or go on, to fetch into `partial`. Gives the download's id. Raises OSError."""
        gid = secrets.token_hex(8)
        options = {
            "gid": gid,
            "dir": str(partial.parent),
            "out": partial.name,
            "split": str(connections),
            "max-connection-per-server": str(connections),
            "file-allocation": allocation,
        }
        self._call("aria2.addUri", [url], options)
        self.gids.add(gid)
        return gid

    def poll(self) -> list[Progress]:
        """How far all downloads are; ended ones are told once. Raises OSError."""
        calls: list[tuple[str, list[Any]]] = [("aria2.tellActive", [ACTIVE]), ("aria2.tellStopped", [0, 1000, STOPPED])]
        active, stopped = (item[0] for item in self._multi(calls))
        found = [_progress(item) for item in active + stopped if item["gid"] in self.gids]
        ended = [item["gid"] for item in stopped]
        if ended:
            self._multi([("aria2.removeDownloadResult", [gid]) for gid in ended])
            self.gids.difference_update(ended)
        return found

    def remove(self, gid: str, within: float = 5.0) -> None:
        """End a download and wait until its files are closed; what it has stays for the next time. Raises OSError."""
        self.gids.discard(gid)
        with contextlib.suppress(KeyError):
            self._call("aria2.forceRemove", gid)
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            try:
                if self._call("aria2.tellStatus", gid, ["status"])["status"] not in ("active", "waiting"):
                    self._call("aria2.removeDownloadResult", gid)
                    return
            except KeyError:
                return
            time.sleep(0.01)
        raise OSError("aria2 does not let go of a download")

    def stop(self) -> None:
        """End it; control files are saved. Killed when it does not obey."""
        if self._rpc is not None:
            self._rpc.close()
        if not self.gids:
            # It has nothing to save, and would take a second.
            self.kill()
        # The first one lets it wait for its connections, the second does not; control files are saved by both.
        for within in (0.05, 5.0):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.terminate()
                self.process.wait(within)
                break
        else:
            self.kill()
        self._configuration.unlink(missing_ok=True)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def _call(self, method: str, *parameters: Any) -> Any:
        """Raises OSError without an answer, KeyError when aria2 does not know the download."""
        import aria2p

        assert self._rpc is not None
        try:
            return self._rpc.call(method, list(parameters))
        except aria2p.ClientException as error:
            raise KeyError(str(error)) from None

    def _multi(self, calls: list[tuple[str, list[Any]]]) -> Any:
        assert self._rpc is not None
        return self._rpc.multicall2(calls)


def _progress(item: Mapping[str, str]) -> Progress:
    return Progress(
        item["gid"],
        item["status"],
        int(item.get("completedLength") or 0),
        int(item.get("totalLength") or 0),
        float(item.get("downloadSpeed") or 0),
        int(item.get("errorCode") or 0),
        item.get("errorMessage", ""),
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
