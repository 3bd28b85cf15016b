"""A test origin: a model hub, plain files, git repositories and their bad days, over real HTTP."""

from __future__ import annotations

from tests.origin.content import Bytes, Content, Generated, OnDisk
from tests.origin.faults import Fault
from tests.origin.server import Entry, Origin

__all__ = ["Bytes", "Content", "Entry", "Fault", "Generated", "OnDisk", "Origin"]
