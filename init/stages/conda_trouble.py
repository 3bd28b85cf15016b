"""What micromamba says when it fails, in plain words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from init.failure import StageFailed
from init.process import gist

_ANY = re.compile(r"( =\*)? \*(?=[ ,;.]|$)")
"""`numpy =* *`: any version, any build."""
_TRANSFER = re.compile(
    r"(?:Download error \(\d+\) (?P<reason>[^\[\n]+)|Transfer finalized, status: (?P<status>\d{3}))"
    r" \[(?P<url>[^\]\s]+)\]"
)
_OTHER = re.compile(r"File not valid: (\w+|file size) doesn't match expectation \"?([^\"\n]+)")
_LOGIN = "a channel behind a login wants its credentials in a file called `.mambarc`, which MAMBARC names"


def explained(lines: Sequence[str], code: int) -> StageFailed:
    """micromamba's failure, from all that it has said."""
    lines = [_ANY.sub("", line) for line in lines]
    text = "\n".join(lines)
    failure = _unsolved(lines) if "Could not solve for environment specs" in text else _here(text) or _there(text)
    if failure is None:
        failure = StageFailed(f"micromamba ended with {code}: {gist(lines)}")
    if unread := re.search(r"Error in file (\S+), skipping: ([^\n]+)", text):
        failure.hint = "; ".join(filter(None, (failure.hint, f"{unread[1]} was passed over: {unread[2]}")))
    return failure


def _here(text: str) -> StageFailed | None:
    """What is wrong with this machine."""
    if "No space left on device" in text or "libmamba Write failed" in text:
        return StageFailed("the disk is full", hint="make room, or use a larger container disk", retry=False)
    if "Could not find any writable cache directory" in text:
        return StageFailed(
            "there is no folder for what micromamba downloads", hint="correct CONDA_PKGS_DIRS", retry=False
        )
    if settings := re.search(r"Configuration file specified but does not exist at '([^'\n]+)'", text):
        return StageFailed(f"{settings[1]} does not exist", hint="correct MAMBARC, which names it", retry=False)
    if "ssl_verify does not contain a valid file path" in text:
        return StageFailed(
            "the file with the certificate authorities does not exist",
            hint="correct SSL_CERT_FILE, REQUESTS_CA_BUNDLE or MAMBA_SSL_VERIFY, whichever is set",
            retry=False,
        )
    return None


def _unsolved(lines: Sequence[str]) -> StageFailed:
    """Why no choice of packages does."""
    text = "\n".join(lines)
    missing = re.findall(r"[├└]─ ([^\n]+?),?(?: which)? does not exist \(perhaps (a typo)?", text)
    # Where packages conflict, what one of many releases lacks is not the reason.
    if missing and (any(asked for _, asked in missing) or "conflicts with" not in text):
        hint = "correct the package's name or version in `conda.packages`, or add the channel that has it"
        if not any(asked for _, asked in missing):
            hint = "a package needs it, the log says which: add the channel that has it, or ask for another release"
        return StageFailed(
            f"no channel has {', '.join(dict.fromkeys(name for name, _ in missing))}", hint=hint, retry=False
        )
    if needs := re.search(r"(__\w+)\b[^\n]*(is missing on the system|conflicts with)", text):
        hint = "ask for an earlier release of the package"
        if needs[1] == "__cuda":
            hint = f"the driver is too old for the package, or the machine has no GPU: {hint}"
        return StageFailed(f"a conda package wants another machine than this one ({needs[1]})", hint=hint, retry=False)
    told = [line.strip(" │├└─;.") for line in lines if re.search(r"[├└]─", line)]
    return StageFailed(
        f"the conda packages asked for do not fit together: {'; '.join(told)[:400] or gist(lines)}",
        hint="correct `conda.packages`, or the order of `conda.channels`",
        retry=False,
    )


def _there(text: str) -> StageFailed | None:
    """What is wrong with a channel, or with the way to it."""
    transfers = list(_TRANSFER.finditer(text))
    last = transfers[-1] if transfers else None
    where = last["url"] if last else "the channel"
    if re.search(r"SSL (peer )?certificate|certificate verify", text, re.IGNORECASE):
        return StageFailed(
            f"{where} shows a certificate that is not trusted here",
            hint="this network may have a certificate authority of its own: start again with SSL_CERT_FILE, the path"
            " of a bundle that holds it",
        )
    if other := _OTHER.search(text):
        return StageFailed(
            f"{other[2].rpartition('/')[2]} is not what its channel says: it has another {other[1]}",
            hint="it is fetched again; when that does not help, the channel or a proxy before it is at fault",
        )
    if strange := re.search(r"Could not load repodata.json for (\S+) after retry", text):
        return StageFailed(
            f"{strange[1]} does not answer as a conda channel does",
            hint="a login page or a proxy may answer in its place: open the address in a browser, or correct"
            " `conda.channels`",
        )
    if last is None:
        return None
    if last["status"] in ("401", "403"):
        return StageFailed(f"{where} is refused (HTTP {last['status']})", hint=_LOGIN, retry=False)
    if last["status"] in ("404", "410"):
        if where.endswith((".conda", ".tar.bz2")):
            return StageFailed(
                f"the channel lists {where}, and does not have it (HTTP {last['status']})",
                hint="it may be changing just now: try again later, or take another mirror",
            )
        return StageFailed(f"{where} is refused (HTTP {last['status']})", hint="correct `conda.channels`", retry=False)
    return StageFailed(
        f"cannot reach {where}: {last['reason'] or 'HTTP ' + last['status']}",
        hint="check the network, or name a mirror by MAMBARC",
    )
