"""What this checkout remembers of images: which ones passed their tests, and where each was pushed last."""

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
PUSHED = ROOT / ".cache" / "pushed.json"


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


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def tested(image: dict[str, Any]) -> dict[str, Any] | None:
    """When and with which tests this image passed; None when it never did."""
    return _read(TESTED).get(identity(image))


def remember(image: dict[str, Any], name: str, tests: list[str]) -> None:
    """Write down that this image passed `tests`."""
    _change(TESTED, identity(image), {"image": name, "tests": tests, "passed": time.time()})


def forget(image: dict[str, Any]) -> None:
    """Take back what was remembered: the image failed."""
    _change(TESTED, identity(image), None)


def pushed(name: str) -> str | None:
    """`REGISTRY/NAME:TAG@DIGEST` of the manifest's image that was pushed last from here; None: none was."""
    reference = _read(PUSHED).get(name, {}).get("reference")
    return reference if isinstance(reference, str) else None


def remember_push(name: str, reference: str) -> None:
    _change(PUSHED, name, {"reference": reference, "pushed": time.time()})


def _change(path: Path, key: str, entry: dict[str, Any] | None) -> None:
    entries = {k: v for k, v in _read(path).items() if k != key} | ({key: entry} if entry else {})
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(entries, file, indent=1, sort_keys=True)
    Path(name).replace(path)
