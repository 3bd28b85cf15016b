"""`firstlight health`: whether JupyterLab and the portal answer. What a container's health check runs."""

from __future__ import annotations

import http.client
import os
from collections.abc import Sequence

from init import address, tls

WITHIN = 3.0
"""Seconds for one answer."""


def answers(port: int, path: str, within: float = WITHIN, https: bool = False) -> int | None:
    """Status of `GET path` on this machine; None when nothing answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=within)
    if https:
        import ssl

        # It is this machine that is asked, whatever names its certificate has.
        unverified = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=within, context=unverified)
    try:
        connection.request("GET", path, headers={"Accept": "application/json"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def main(argv: Sequence[str] = ()) -> int:
    """0: both answer. 1: one does not, and which. Raises Complaint."""
    plan, well = address.plan(), True
    for name, port, path in (
        ("JupyterLab", plan.jupyter.port, address.prefix(os.environ) + "api"),
        ("portal", plan.portal_port, "/.firstlight/health"),
    ):
        status = answers(port, path, https=tls.on(plan.paths))
        fine = status is not None and status < 500
        print(f"{name}: " + ("answers" if fine else f"no answer on port {port}; see `firstlight logs {name.lower()}`"))
        well = well and fine
    return 0 if well else 1
