"""What shells see of the container's environment, read back by real ones."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from init import access, session
from init.paths import Paths

ODD = {
    "QUOTES": 'it\'s "so"',
    "SHELL_WORDS": "$HOME `id` $(id) ; & | \\ \\n # !x",
    "LINES": "one\n\n'two\n",
    "ENDS": "  both  ",
    "EMPTY": "",
    "LETTERS": "grün 日本",
}
READ = "import json, os; print(json.dumps(dict(os.environ)))"


def read(shell: str, script: str, environ: dict[str, str]) -> dict[str, str]:
    done = subprocess.run(
        [shell, "-euc", f'{script}\nexec "{sys.executable}" -c "{READ}"'],
        env=environ, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_every_value_comes_through(shell: str) -> None:
    private = dict.fromkeys((*access.PRIVATE, *session.KEYS), "secret")
    environ = {
        **ODD,
        **private,
        "PATH": "/opt/x/bin:/usr/bin",
        "HOME": "/elsewhere",
        "USER": "other",
        "A-B": "x",
        "1": "y",
    }
    environ |= {"SUPERVISOR_ENABLED": "1", "HF_TOKEN": "hf"}
    seen = read(shell, session.script(environ), {"HOME": "/root", "PATH": "/bin"})
    assert {name: seen.get(name) for name in ODD} == ODD
    assert (seen["PATH"], seen["HOME"], seen["HF_TOKEN"]) == ("/opt/x/bin:/usr/bin", "/root", "hf")
    assert not {*private, "SUPERVISOR_ENABLED", "USER", "A-B", "1"} & set(seen)


def test_what_the_session_has_set_stays() -> None:
    seen = read("bash", session.script({"MODE": "container", "UNSET": "container"}), {"MODE": "", "PATH": "/bin"})
    assert (seen["MODE"], seen["UNSET"]) == ("", "container")


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    paths = Paths(run=str(tmp_path))
    (tmp_path / session.FILE).write_text("older")
    (tmp_path / session.FILE).chmod(0o644)
    session.write(paths, {"HF_TOKEN": "hf", "BYTES": "\udcff"})
    file = tmp_path / session.FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"export HF_TOKEN=hf\n" in file.read_bytes() and b"\xff" in file.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == [session.FILE]
