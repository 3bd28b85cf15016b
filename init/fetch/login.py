"""The user's token for Hugging Face: given at the start, or by signing in on the running machine."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

VARIABLE = "HF_TOKEN"


def hub_token(environ: Mapping[str, str]) -> str | None:
    """`HF_TOKEN`, or what `hf auth login` has left where huggingface_hub looks for it; read anew each time.

    https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables#hftokenpath
    """
    if token := environ.get(VARIABLE, "").strip():
        return token
    cache = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or Path.home(), ".cache")
    home = environ.get("HF_HOME") or Path(cache, "huggingface")
    with suppress(OSError, UnicodeDecodeError):
        path = Path(environ.get("HF_TOKEN_PATH") or Path(home, "token")).expanduser()
        return path.read_text(encoding="utf-8").strip() or None
    return None
