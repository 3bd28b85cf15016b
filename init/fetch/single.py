"""One small file, by itself: a wheel, or a program. Over one connection, verified before it gets its name."""

from __future__ import annotations

import secrets
import threading
from pathlib import Path

from init.failure import StageFailed
from init.fetch import fallback, verify
from init.fetch.sources import Sources
from init.fetch.trouble import Trouble, bare

TRIES = 4


def fetch(
    url: str, path: Path, sha256: str | None, cancel: threading.Event, sources: Sources, backoff: float = 1.0
) -> None:
    """Fetch it to an absolute path, unless it is there. `backoff`: seconds before the second try, then twice as many.

    Raises StageFailed.
    """
    if path.is_file() and sha256 and verify.digest(path, cancel=cancel) == sha256:
        return
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _try(url, partial, sha256, cancel, sources, backoff)
        verify.sync(partial)
        partial.replace(path)
    except Trouble as trouble:
        raise StageFailed(trouble.message, hint=trouble.hint, retry=trouble.retry) from None
    except verify.Cancelled:
        raise StageFailed("cancelled", retry=False) from None
    except OSError as error:
        raise StageFailed(f"{path}: {error.strerror}", hint="check the disk") from None
    finally:
        partial.unlink(missing_ok=True)


def _try(
    url: str, partial: Path, sha256: str | None, cancel: threading.Event, sources: Sources, backoff: float
) -> None:
    for attempt in range(TRIES):
        try:
            address = sources.resolve(url, None, known=sha256 is not None)
            fallback.plain(address, partial, address.size, lambda _: None, cancel)
            break
        except Trouble as trouble:
            if not trouble.retry or attempt == TRIES - 1:
                raise
            if cancel.wait(max(trouble.after or 0.0, backoff * 2**attempt)):
                raise verify.Cancelled from None
    expected = sha256 or address.sha256
    if expected and (found := verify.digest(partial, cancel=cancel)) != expected:
        raise Trouble(
            f"{bare(url)} has other content: its SHA-256 is {found}, and should be {expected}",
            retry=False,
            kind="content",
        )
