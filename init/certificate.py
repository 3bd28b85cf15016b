"""Which certificate this machine shows: the platform's, or one of its own."""

from __future__ import annotations

import ipaddress
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from init import privacy

DAYS = 3650
MADE_WITHIN = 30.0


def pair(kept: Path, given: tuple[Path, Path], environ: Mapping[str, str]) -> bytes | None:
    """Certificate and key, as PEM: `given` ones where they can be used, else those in `kept`, made when there are none.
    None when there are none to be had. Tells which."""
    if any(path.exists() for path in given):
        try:
            _check(*given)
            both = b"\n".join(path.read_bytes() for path in given)
        except (OSError, ValueError) as error:
            _say(f"{given[0]} and {given[1]} cannot be used ({_cause(error)}): another certificate is made")
            _say("  to use them, put a certificate and its key there, readable and without a password, and start again")
        else:
            _say(f"HTTPS with the certificate {given[0]}")
            return both
    try:
        _check(kept)
        both = kept.read_bytes()
        kept.chmod(0o600)
    except (OSError, ValueError):
        try:
            both = _made(environ)
        except (OSError, subprocess.SubprocessError) as error:
            _say(f"no HTTPS: openssl made no certificate ({_cause(error)}), so plain HTTP is spoken")
            _say(f"  install openssl, or put a certificate at {given[0]} and its key at {given[1]}, and start again")
            return None
        try:
            privacy.write(kept, both)
        except OSError as error:
            _say(f"the certificate cannot be kept in {kept} ({_cause(error)}): the next start has another one")
    _say(f"HTTPS with a certificate of this machine's own, {kept}: browsers warn of it until you accept it")
    return both


def _check(certificate: Path, key: Path | None = None) -> None:
    """Raises OSError or ValueError when this is no pair that a server can use."""
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key, password=_no_password)


def _no_password() -> str:
    """Instead of asking at the terminal."""
    raise ValueError("the key wants a password")


def _made(environ: Mapping[str, str]) -> bytes:
    """A new pair, for the names under which this machine is reached. Raises OSError, SubprocessError."""
    names = ["DNS:localhost", "IP:127.0.0.1"]
    with suppress(ValueError):
        names.append(f"IP:{ipaddress.ip_address(environ.get('PUBLIC_IPADDR', '').strip())}")
    with tempfile.TemporaryDirectory(prefix="firstlight-") as folder:
        key, certificate = Path(folder, "key"), Path(folder, "certificate")
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        command += ["-days", str(DAYS), "-subj", "/CN=Firstlight", "-addext", f"subjectAltName={','.join(names)}"]
        command += ["-keyout", str(key), "-out", str(certificate)]
        subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=MADE_WITHIN)
        return certificate.read_bytes() + key.read_bytes()


def _cause(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return bytes(error.stderr).decode("utf-8", "replace").strip().rpartition("\n")[2]
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _say(text: str) -> None:
    print(f"firstlight: {text}", file=sys.stderr, flush=True)
