"""What to do about trouble with a job: wait, ask for a new address, take another transport, start over, or give up."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

from init.fetch import space
from init.fetch.job import Job, Transport, lacking
from init.fetch.sources import hub_file
from init.fetch.trouble import Trouble
from init.fetch.workers import Tuning
from init.lines import size

ROOM = "delete files, take a larger volume, or choose fewer sets (MODEL_SETS)"
RENEWED = 2
"""How often in a row a refused address is replaced by a new one before the refusal counts."""


def remedy(job: Job, trouble: Trouble, tuning: Tuning) -> float | None:
    """Seconds to wait before the next try, which this prepares; None: there is none."""
    job.tries += 1
    if trouble.kind == "content":
        job.wrong += 1
        job.address = None
        return None if job.wrong > 1 else 0.0
    wait = min(60.0, tuning.backoff * 2 ** (job.tries - 1))
    patience, retry = tuning.tries, trouble.retry
    if trouble.kind in ("expired", "refused"):
        # Signed addresses run out: what counts is what the hub says about a new one.
        retry = retry or (job.address is not None and job.tries <= RENEWED)
        wait = 0.0 if job.tries == 1 else wait
        job.address = None
    elif trouble.kind == "busy":
        wait, patience = max(wait, trouble.after or 0.0), tuning.tries * 2
    elif trouble.kind == "stall":
        job.transport, wait = following(job), 0.0
    elif job.tries % 3 == 0:
        job.address, job.transport = None, following(job)
    if job.transport == "stream":
        job.transport = "aria2"
    return wait if retry and job.tries <= patience else None


def following(job: Job) -> Transport:
    """The transport to try after the job's own."""
    if job.transport == "stream":
        return "aria2"
    order: list[Transport] = ["aria2", "hub", "plain"] if hub_file(job.url) else ["aria2", "plain"]
    return order[(order.index(job.transport) + 1) % len(order)]


def contradiction(job: Job, what: str) -> Trouble:
    """The content is not what it should be."""
    hint = "if the new content is meant, lock the manifest again; else tell whoever publishes the file"
    return Trouble(f"{job.path} {what}", hint=hint, retry=False, kind="content")


def disk(error: OSError, what: str) -> Trouble:
    """The file system refused."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Trouble(f"{what}: the volume is full", hint=ROOM, retry=False, kind="space")
    return Trouble(f"{what}: {error.strerror or error}", hint="check the volume", kind="disk")


def full(root: Path, what: str, short: int, besides: str = "") -> Trouble:
    """The volume has too little room, by `short` bytes."""
    return Trouble(
        f"{what}, and {root} has {size(space.free(root))} free{besides}: {size(short)} are missing",
        hint=ROOM,
        retry=False,
        kind="space",
    )


def full_for(root: Path, job: Job, others: int = 0) -> Trouble:
    """The volume has too little room for what is left of a job, besides `others` bytes."""
    need = lacking(job, root)
    return full(root, f"{job.path} needs {size(need)} more", max(1, need + others - space.free(root)))


def together(failed: Sequence[Job]) -> Trouble:
    """One trouble for several files: the first in words, the others by name."""
    troubles = [j.trouble for j in failed if j.trouble]
    first = troubles[0]
    rest = f" (and {len(failed) - 1} more: {', '.join(j.name for j in failed[1:4])})" if len(failed) > 1 else ""
    return Trouble(first.message + rest, hint=first.hint, retry=any(t.retry for t in troubles), kind=first.kind)
