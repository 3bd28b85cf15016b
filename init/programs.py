"""Supervisor's side of a service: start, stop and look at a program over its Unix socket."""

from __future__ import annotations

import socket
import xmlrpc.client
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import Faults, SupervisorTransport, UnixStreamHTTPConnection

TIMEOUT = 30.0
"""Seconds for one call: stopping a program may take its `stopwaitsecs`, all else milliseconds."""


class NoSupervisor(Exception):
    """Supervisor does not answer."""


class NoProgram(Exception):
    """Supervisor has no program of that name."""


class NotStarted(Exception):
    """Supervisor could not start or stop the program; the text is supervisor's reason."""


@dataclass(frozen=True)
class Program:
    state: str
    """Supervisor's: STOPPED STARTING RUNNING BACKOFF STOPPING EXITED FATAL UNKNOWN."""
    pid: int
    """0 when it does not run."""
    start: int
    """Unix time of its last start; 0 when it was never started."""
    exit_status: int
    reason: str
    """Why it could not be spawned; mostly empty."""
    log: Path | None

    @property
    def up(self) -> bool:
        return self.state in ("STARTING", "RUNNING")


class Programs:
    """Calls to supervisor. One object a thread."""

    def __init__(self, path: Path):
        self._transport = _Transport(path)
        self._proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=self._transport)

    def look(self, name: str) -> Program:
        """Raises NoSupervisor, NoProgram."""
        info = self._call("getProcessInfo", name)
        log = str(info["stdout_logfile"])
        return Program(
            state=str(info["statename"]),
            pid=int(info["pid"]),
            start=int(info["start"]),
            exit_status=int(info["exitstatus"]),
            reason=str(info["spawnerr"]),
            log=Path(log) if log and not log.startswith("/dev/") else None,
        )

    def start(self, name: str) -> None:
        """Start the program without waiting for it; no error when it runs already. Raises NotStarted besides."""
        self._call("startProcess", name, False, fine=Faults.ALREADY_STARTED)

    def stop(self, name: str) -> None:
        """Stop the program and wait for its end; no error when it does not run. Raises NotStarted besides."""
        self._call("stopProcess", name, True, fine=Faults.NOT_RUNNING)

    def _call(self, method: str, *args: Any, fine: int | None = None) -> Any:
        try:
            return getattr(self._proxy.supervisor, method)(*args)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == fine:
                return None
            if fault.faultCode == Faults.BAD_NAME:
                raise NoProgram(str(args[0])) from None
            if fault.faultCode == Faults.SHUTDOWN_STATE:
                raise NoSupervisor("supervisor is shutting down") from None
            raise NotStarted(fault.faultString) from None
        except (OSError, HTTPException, xmlrpc.client.Error) as error:
            self._transport.close()
            raise NoSupervisor(f"supervisor does not answer ({error})") from None


class _Transport(SupervisorTransport):  # type: ignore[misc]
    """SupervisorTransport that gives up after `TIMEOUT`."""

    def __init__(self, path: Path):
        super().__init__(None, None, f"unix://{path}")
        self._get_connection = lambda: _Connection(path)


class _Connection(UnixStreamHTTPConnection):  # type: ignore[misc]
    def __init__(self, path: Path):
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(str(self._path))
