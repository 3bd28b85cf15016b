"""What is wanted: jobs in order, each content once."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

from init.fetch import space
from init.fetch.job import ENDED, FetchResult, Job, Progress, Want, lacking
from init.fetch.remedy import full
from init.fetch.trouble import Trouble
from init.lines import size
from init.specs import FileSpec

MOVING = frozenset({"new", "checking", "resolving", "fetching"})


class Queue:
    """All jobs and wants. Used by one thread."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.wants: list[Want] = []
        self._numbers = itertools.count()

    def add(self, want: Want, specs: Iterable[FileSpec]) -> list[Job]:
        """Take in a set; gives the jobs that are new. Raises Trouble when it contradicts another set."""
        fresh = []
        for spec in specs:
            want.specs[spec.path] = spec
            job = self._same(spec)
            if job is None:
                job = Job(next(self._numbers), spec.url, spec.revision, spec.size, spec.sha256, [spec.path])
                self.jobs.append(job)
                fresh.append(job)
            elif spec.path not in job.paths:
                job.paths.append(spec.path)
            if want not in job.wants:
                job.wants.append(want)
            if job not in want.jobs:
                want.jobs.append(job)
        self.wants.append(want)
        return fresh

    def _same(self, spec: FileSpec) -> Job | None:
        """The job that fetches this file's content already."""
        for job in self.jobs:
            if job.state in ENDED:
                continue
            same = (
                job.sha256 == spec.sha256
                if job.sha256 and spec.sha256
                else ((job.url, job.revision) == (spec.url, spec.revision))
            )
            if same:
                return job
            if spec.path in job.paths and not same:
                raise Trouble(
                    f"{spec.path} is wanted with two contents (sets {', '.join(w.set for w in job.wants)} and another)",
                    hint="give one of them another `to` in the manifest",
                    retry=False,
                    kind="refused",
                )
        return None

    def merge(self, job: Job) -> Job:
        """`job`, or an older one that turned out to fetch the same content and has taken over its paths."""
        for other in self.jobs:
            if other is job or other.state in ENDED or job.sha256 is None or other.sha256 != job.sha256:
                continue
            other.paths += [p for p in job.paths if p not in other.paths]
            for want in job.wants:
                want.jobs = [other if j is job else j for j in want.jobs]
                if want not in other.wants:
                    other.wants.append(want)
            self.jobs.remove(job)
            return other
        return job

    def waiting(self, now: float) -> list[Job]:
        """Jobs that may begin, best first."""
        ready = [
            j for j in self.jobs if j.state == "queued" and j.not_before <= now and any(w.admitted for w in j.wants)
        ]
        return sorted(ready, key=lambda j: j.order)

    def beginning(self, now: float) -> list[Job]:
        """Those of `waiting` that should: optional ones leave the link alone while a required one moves."""
        ready = self.waiting(now)
        if any(job.required and (job in ready or job.state in MOVING) for job in self.jobs):
            return [job for job in ready if job.required]
        return ready

    def forget(self, want: Want) -> list[Job]:
        """Take a set out; gives the jobs that nobody wants any more."""
        if want in self.wants:
            self.wants.remove(want)
        orphans = []
        for job in want.jobs:
            if want in job.wants:
                job.wants.remove(want)
            if not job.wants and job in self.jobs:
                self.jobs.remove(job)
                orphans.append(job)
        return orphans

    def admit(self, want: Want, root: Path) -> Trouble | None:
        """Reserve room for a set whose sizes are known, or say how much is missing. Raises OSError."""
        need = sum(lacking(job, root) for job in want.jobs)
        before = {
            job.number: lacking(job, root)
            for other in self.wants
            if other.admitted and other is not want and (other.required or not want.required)
            for job in other.jobs
            if job not in want.jobs
        }
        room = space.free(root) - sum(before.values())
        if need <= room:
            want.admitted = True
            return None
        others = sorted({w.set for w in self.wants if w.admitted and w is not want})
        besides = f", of which {size(sum(before.values()))} are for {', '.join(others)}" if before and others else ""
        return full(root, f"set {want.set} needs {size(need)}", need - room, besides)


def progress(want: Want, waiting_for: str | None) -> Progress:
    """How far a set is."""
    jobs = want.jobs
    left = [j for j in jobs if j.state not in ENDED]
    return Progress(
        done=sum((j.size or j.done) if j.state == "done" else j.done for j in jobs),
        total=None if any(j.size is None for j in jobs) else sum(j.size or 0 for j in jobs),
        rate=sum(j.rate for j in left),
        files_left=sum(len([p for p in j.paths if p in want.specs]) for j in left),
        verifying=bool(left) and all(j.state in ("verifying", "checking") for j in left),
        waiting_for=waiting_for if any(j.state == "queued" for j in left) else None,
        failed=[j.path for j in jobs if j.state == "failed"],
        setback=next((j.setback for j in left if j.setback and j.state in ("queued", "resolving")), None),
    )


def result(want: Want, seconds: float) -> FetchResult:
    """What a complete set came to."""
    found = FetchResult(files=len(want.specs), seconds=seconds)
    for job in want.jobs:
        found.bytes_total += job.size or 0
        found.bytes_fetched += job.fetched
        for path in job.paths:
            spec = want.specs.get(path)
            if spec is None:
                continue
            if job.sha256 is None and job.blob is None:
                found.unverified.append(path)
            if spec.sha256 is None or spec.size is None:
                found.resolved[path] = {"revision": job.commit, "size": job.size, "sha256": job.sha256}
    return found
