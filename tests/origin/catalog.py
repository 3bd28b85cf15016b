"""A catalogue: what an origin that runs on its own serves, as JSON.

    {"hub": [{"repo": "demo/weights", "path": "a.safetensors", "seed": 1, "size": 1000000, "access": "public"}],
     "plain": [{"path": "files/b.bin", "seed": 2, "size": 1000}],
     "civitai": [{"version": 7, "name": "c.safetensors", "seed": 3, "size": 1000}],
     "git": {"git/demo.git": "FOLDER"}, "folders": {"wheels": "FOLDER"}, "tokens": {"TOKEN": ["owner/repo"]}}

Instead of `seed` and `size` an entry may have `text` or `file`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.origin.content import Bytes, Content, Generated, OnDisk

if TYPE_CHECKING:
    from tests.origin.server import Origin


def publish(origin: Origin, catalog: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Publish a catalogue. Gives size and SHA-256 by `url` of what it added."""
    added = []
    for item in catalog.get("hub", []):
        content = _content(item)
        added.append(
            origin.hub(
                item["repo"], item["path"], content, lfs=item.get("lfs", True), access=item.get("access", "public")
            )
        )
    for item in catalog.get("plain", []):
        added.append(origin.plain(item["path"], _content(item)))
    for item in catalog.get("civitai", []):
        added.append(origin.civitai(item["version"], item["name"], _content(item), access=item.get("access", "public")))
    for path, folder in catalog.get("git", {}).items():
        origin.repository(path, Path(folder))
    for path, folder in catalog.get("folders", {}).items():
        origin.folder(path, Path(folder))
    for token, licences in catalog.get("tokens", {}).items():
        origin.token(token, *licences)
    return {file.url: {"size": file.size, "sha256": file.sha256, "revision": file.commit or None} for file in added}


def _content(item: dict[str, Any]) -> Content:
    if "file" in item:
        return OnDisk(Path(item["file"]))
    if "text" in item:
        return Bytes(item["text"].encode())
    return Generated(item["seed"], item["size"])
