"""Files that nobody but their owner may read."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: Path, content: str | bytes, *, lasting: bool = False) -> None:
    """Put one into place in one step. `lasting`: on the disk itself when this returns. Raises OSError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft.unlink(missing_ok=True)
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        if lasting:
            file.flush()
            os.fsync(file.fileno())
    draft.replace(path)
