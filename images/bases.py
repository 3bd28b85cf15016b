"""A base image made from distribution packages: for tests, and for machines that do not reach a registry.

`python -m images.bases [SUITE]` makes `localhost/firstlight-base:SUITE`; `./buildkit.py build NAME --base` takes it.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from manifests.trouble import Trouble, told

ROOT = Path(__file__).resolve().parent.parent
APT = Path("/etc/apt")
CACHE = ROOT / ".cache" / "bases"
REPOSITORY = "localhost/firstlight-base"
EPOCH = "1763600000"
"""Time stamp of all files: the same packages make the same bytes."""
LEAN = [
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
]


def release() -> dict[str, str]:
    """This machine's os-release."""
    text = Path("/etc/os-release").read_text(encoding="utf-8")
    return {key: value.strip("\"'") for key, _, value in (line.partition("=") for line in text.splitlines()) if key}


def default_suite() -> str:
    """trixie on Debian; on Ubuntu its own release, because its mirror has no Debian."""
    os_release = release()
    return "trixie" if os_release.get("ID") == "debian" else os_release.get("VERSION_CODENAME", "trixie")


def sources() -> Iterator[tuple[str, list[str], list[str]]]:
    """(address, suites, components) of every package source of this machine."""
    for file in sorted([APT / "sources.list", *APT.glob("sources.list.d/*.list")]):
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        for found in re.finditer(r"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.+)$", text, re.MULTILINE):
            yield found.group(1), [found.group(2)], found.group(3).split()
    for file in sorted(APT.glob("sources.list.d/*.sources")):
        for stanza in re.split(r"\n\s*\n", file.read_text(encoding="utf-8")):
            lines = [line for line in stanza.splitlines() if not line.startswith("#")]
            fields = {key.strip().lower(): value.split() for key, _, value in (line.partition(":") for line in lines)}
            if "deb" in fields.get("types", []) and fields.get("enabled") != ["no"]:
                for address in fields.get("uris", []):
                    yield address, fields.get("suites", []), fields.get("components", [])


def mirror() -> str:
    """The mirror that this machine takes its distribution from. Raises Trouble when its apt sources name none."""
    codename = release().get("VERSION_CODENAME", "")
    for address, suites, components in sources():
        if codename in suites and "main" in components:
            if address.startswith("mirror+file:"):
                listed = Path(address.removeprefix("mirror+file:")).read_text(encoding="utf-8").split()
                address = next(word for word in listed if "://" in word)
            return address
    raise Trouble(
        "no package mirror found in /etc/apt",
        f"no source has the suite {codename!r} and the component main",
        "write this machine's mirror into /etc/apt/sources.list",
    )


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def present(reference: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", reference], capture_output=True, check=False).returncode == 0


def make(suite: str | None = None) -> str:
    """The reference of a base image of `suite`, made if it is not there. About half a minute, once. Raises Trouble."""
    suite = suite or default_suite()
    reference, tarball = f"{REPOSITORY}:{suite}", CACHE / f"{suite}.tar"
    with _alone(CACHE / f"{suite}.lock"):
        if present(reference):
            return reference
        if not tarball.is_file():
            _bootstrap(suite, tarball)
        argv = ["docker", "import", "-c", 'CMD ["/bin/bash"]', str(tarball), reference]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Trouble(
                f"{reference} was not imported", done.stderr, "`./buildkit.py doctor` says what is wrong with Docker"
            )
    return reference


def _bootstrap(suite: str, tarball: Path) -> None:
    if shutil.which("mmdebstrap") is None:
        raise Trouble(
            "mmdebstrap is missing", "it makes base images from distribution packages", "apt-get install mmdebstrap"
        )
    print(f"making a base image from {suite} packages", flush=True)
    half = tarball.with_suffix(".part.tar")
    argv = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=apt,ca-certificates", "--dpkgopt=force-unsafe-io"]
    argv += [f"--mode={'root' if os.getuid() == 0 else 'auto'}", *(f"--dpkgopt={option}" for option in LEAN)]
    if release().get("ID") == "ubuntu":
        argv.append("--components=main,universe")
    environ = os.environ | {"SOURCE_DATE_EPOCH": EPOCH}
    done = subprocess.run(
        [*argv, suite, str(half), mirror()], env=environ, stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        half.unlink(missing_ok=True)
        tail = "\n".join(done.stderr.splitlines()[-10:])
        raise Trouble(f"no base image of {suite}", tail, "check the name of the suite and this machine's apt sources")
    half.replace(tarball)


def main(arguments: list[str]) -> int:
    def action() -> int:
        print(make(*arguments[:1]))
        return 0

    return told(action)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
