"""Downloads: resolved in Python, fetched by aria2, verified before they get their name."""

from __future__ import annotations

from init.fetch.fetcher import Fetcher
from init.fetch.job import FetchResult, Progress
from init.fetch.workers import Tuning

__all__ = ["FetchResult", "Fetcher", "Progress", "Tuning"]
