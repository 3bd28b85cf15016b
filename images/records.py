"""What this checkout remembers of images: which ones passed their tests."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TESTED = ROOT / ".cache" / "tested.json"


def identity(image: dict[str, Any]) -> str:
    """SHA-256 of what an image is (`docker image inspect`): its layers and its configuration.

    An image's own digest will not do: the provenance it carries is new with each build, and a store without OCI images
    gives it a digest only when it is pushed.
    """
    config = {
        key: value for key, value in (image.get("Config") or {}).items() if value and key not in ("Image", "Hostname")
    }
    what = {"layers": image["RootFS"]["Layers"], "config": config, "platform": [image["Os"], image["Architecture"]]}
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def _read() -> dict[str, Any]:
    try:
        data = json.loads(TESTED.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def tested(image: dict[str, Any]) -> dict[str, Any] | None:
    """When and with which tests this image passed; None when it never did."""
    return _read().get(identity(image))


def remember(image: dict[str, Any], name: str, tests: list[str]) -> None:
    """Write down that this image passed `tests`."""
    _change(identity(image), {"image": name, "tests": tests, "passed": time.time()})


def forget(image: dict[str, Any]) -> None:
    """Take back what was remembered: the image failed."""
    _change(identity(image), None)


def _change(key: str, entry: dict[str, Any] | None) -> None:
    entries = {k: v for k, v in _read().items() if k != key} | ({key: entry} if entry else {})
    TESTED.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=TESTED.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(entries, file, indent=1, sort_keys=True)
    Path(name).replace(TESTED)
