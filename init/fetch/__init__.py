"""Downloads: resolved in Python, fetched by aria2, verified before they get their name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from init.fetch.fetcher import Fetcher
    from init.fetch.job import FetchResult, Progress
    from init.fetch.workers import Tuning

__all__ = ["FetchResult", "Fetcher", "Progress", "Tuning"]


def __getattr__(name: str) -> Any:
    # The reader processes import parts of this package, and should start in no time.
    if name == "Fetcher":
        from init.fetch.fetcher import Fetcher

        return Fetcher
    if name in ("FetchResult", "Progress"):
        from init.fetch import job

        return getattr(job, name)
    if name == "Tuning":
        from init.fetch.workers import Tuning

        return Tuning
    raise AttributeError(name)
