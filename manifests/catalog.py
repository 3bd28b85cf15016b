"""The table of a manifest's model sets, for its page in `docs/`: sizes as the lock knows them."""

from __future__ import annotations

from pathlib import Path

from manifests import expand, load, lock
from manifests.lock import Lock
from manifests.model import Manifest
from manifests.modelsets import ModelSet

BEGIN, END = "<!-- sets: written by `make docs` -->\n", "<!-- end of sets -->"


DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = {"comfyui-wan22": DOCS / "comfyui.md", "visomaster": DOCS / "visomaster.md"}
"""By manifest."""


def pages() -> list[tuple[Path, str]]:
    """Each page, and what it should say."""
    found = []
    for name, file in PAGES.items():
        loaded = load.load(name)
        found.append((file, filled(file.read_text(encoding="utf-8"), loaded.manifest, lock.read(loaded))))
    return found


def section(manifest: Manifest, known: Lock) -> str:
    """A row for each set; its size is what it brings by itself."""
    rows = ["| set | files | GB | fetched | older name |", "|---|---|---|---|---|"]
    for name, models in manifest.models.sets.items():
        when = "first: the app needs it" if models.required else "by default" if models.default else "when chosen"
        aliases = [
            alias
            for alias, sets in manifest.models.select.aliases.items()
            if name in ([sets] if isinstance(sets, str) else sets)
        ]
        older = ", ".join(f"`{alias}`" for alias in aliases if alias != "DOWNLOAD_ALL")
        title = f"`{name}` {models.title or ''}".rstrip()
        rows.append(f"| {title} | {len(expand.files(models))} | {_size(models, known)} | {when} | {older} |")
    return "\n".join(rows) + "\n"


def filled(page: str, manifest: Manifest, known: Lock) -> str:
    """`page` with the table between its marks. Raises ValueError where it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page has no place for the table: {BEGIN.strip()} … {END}")
    return f"{before}{begin}{section(manifest, known)}{end}{after}"


def _size(models: ModelSet, known: Lock) -> str:
    sizes = known.sizes(expand.files(models)).values()
    total = sum(size or 0 for size in sizes) / 1e9
    return f"{total:.1f}{'?' if None in sizes else ''}" if total else "?"


if __name__ == "__main__":
    for file, text in pages():
        file.write_text(text, encoding="utf-8")
