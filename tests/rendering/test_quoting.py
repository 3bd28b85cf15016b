"""What quoting writes is read back by the real parser of each syntax."""

from __future__ import annotations

import ast
import json
import shlex
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from supervisor.options import ServerOptions

from images import quoting
from tests.rendering.cases import HOSTILE

ONE_LINE = {name: text for name, text in HOSTILE.items() if not set("\n\r") & set(text)}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_shell(text: str) -> None:
    line = f"printf %s {quoting.shell(text)}"
    assert subprocess.run(["sh", "-c", line], capture_output=True, check=True).stdout == text.encode()


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_python(text: str) -> None:
    assert ast.literal_eval(quoting.python(text)) == text


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_json_stays_within_its_script(text: str) -> None:
    written = quoting.json({"value": text})
    assert json.loads(written) == {"value": text}
    assert "<" not in written and ">" not in written


def test_html() -> None:
    class Reader(HTMLParser):
        attributes: list[str | None]
        texts: list[str]

        def __init__(self) -> None:
            super().__init__()
            self.attributes, self.texts = [], []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.attributes += [value for _, value in attrs]

        def handle_data(self, data: str) -> None:
            self.texts.append(data)

    for text in HOSTILE.values():
        reader = Reader()
        reader.feed(f'<p title="{quoting.html(text)}">{quoting.html(text)}</p>')
        reader.close()
        assert reader.attributes == [text]
        assert "".join(reader.texts) == text


def configured(folder: Path, text: str) -> Any:
    """supervisor's own reading of a configuration."""
    path = folder / "supervisord.conf"
    path.write_text(f"[supervisord]\n{text}", encoding="utf-8")
    options = ServerOptions()
    options.realize(["-c", str(path)], doc="")
    return options


def test_supervisor_words(tmp_path: Path) -> None:
    programs = (
        f"[program:{name}]\ncommand=echo {quoting.supervisor(text, word=True)} end\n" for name, text in ONE_LINE.items()
    )
    options = configured(tmp_path, "".join(programs))
    commands = {group.name: group.process_configs[0].command for group in options.process_group_configs}
    assert {name: shlex.split(command) for name, command in commands.items()} == {
        name: ["echo", text, "end"] for name, text in ONE_LINE.items()
    }


def test_supervisor_values(tmp_path: Path) -> None:
    """`stdout_logfile` is the one value that supervisor expands twice."""
    paths, programs = {}, []
    for name, text in ONE_LINE.items():
        path = f"{tmp_path}/{text.replace('/', '-')}x"
        try:
            folder, log = quoting.supervisor(path), quoting.supervisor(f"{path}/log", expansions=2)
        except quoting.Unquotable as error:
            assert name in ("semicolons", "braces"), error
            continue
        Path(path).mkdir()
        paths[name] = (path, f"{path}/log")
        programs.append(f"[program:{name}]\ncommand=true\ndirectory={folder}\nstdout_logfile={log}\n")
    options = configured(tmp_path, "".join(programs))
    processes = [group.process_configs[0] for group in options.process_group_configs]
    assert {one.name: (one.directory, one.stdout_logfile) for one in processes} == paths
    assert len(paths) > 10


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\0b"])
@pytest.mark.parametrize("word", [True, False])
def test_supervisor_has_no_line_breaks(text: str, word: bool) -> None:
    with pytest.raises(quoting.Unquotable, match="holds a line break"):
        quoting.supervisor(text, word=word)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("a ;b", "begin a comment"), ("# a", "begin a comment"), (" a", "white space"), ("a\t", "white")],
)
def test_supervisor_refuses_a_value_that_it_would_cut(text: str, reason: str) -> None:
    with pytest.raises(quoting.Unquotable, match=reason):
        quoting.supervisor(text)


def test_caddy(tmp_path: Path) -> None:
    extra = {f"backslash-{n}": text for n, text in enumerate(['a\\"b', "a\\\\", '\\\\"', "\\", "`x` \\\\", "{block}"])}
    tokens = {}
    for name, text in {**HOSTILE, **extra}.items():
        try:
            tokens[name] = (text, quoting.caddy(text))
        except quoting.Unquotable as error:
            assert name in ("dollars", "carriage-return"), error
    path = tmp_path / "Caddyfile"
    path.write_text(
        ":1 {\n" + "".join(f"\theader X-{name} {token}\n" for name, (_, token) in tokens.items()) + "}\n",
        encoding="utf-8",
    )
    done = subprocess.run(["caddy", "adapt", "--config", path], capture_output=True, text=True, check=True)
    routes = json.loads(done.stdout)["apps"]["http"]["servers"]["srv0"]["routes"]
    found: dict[str, list[str]] = {}
    for handler in (handler for route in routes for handler in route["handle"]):
        found |= {key.lower(): values for key, values in handler["response"].get("set", {}).items()}
    assert found == {f"x-{name}": [text] for name, (text, _) in tokens.items()}


@pytest.mark.parametrize("text", ["{$HOME}", "a\rb", "\0", "` \\"])
def test_caddy_refuses_what_it_cannot_say(text: str) -> None:
    with pytest.raises(quoting.Unquotable, match="cannot stand in a Caddyfile"):
        quoting.caddy(text)


@pytest.mark.parametrize("quote", [quoting.docker, quoting.shell])
def test_nul_is_refused(quote: Any) -> None:
    with pytest.raises(quoting.Unquotable, match="NUL"):
        quote("a\0b")
