"""Nothing secret in anything shown."""

from __future__ import annotations

import pytest

from init.redact import LONGEST, Redactor, secrets


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GET https://cdn.example/x.bin?Expires=1&Signature=abc failed", "GET https://cdn.example/x.bin?… failed"),
        ("got 403 from https://a.b/c?sig=1; see the log", "got 403 from https://a.b/c?…; see the log"),
        ('<a href="https://a.b/c?d=e">', '<a href="https://a.b/c?…">'),
        ("https://user:pass@host/x", "https://…@host/x"),
        ("git+https://oauth2:abc@host/x.git?y", "git+https://…@host/x.git?…"),
        ("Authorization: Bearer abcdefgh.ijk", "Authorization: Bearer …"),
        ("using token=abc123 now", "using token=… now"),
        ("HF_TOKEN=abc123", "HF_TOKEN=…"),
        ("hf_abcdefghijklmnopqrstuvwxyz is not valid", "hf_… is not valid"),
        ("the secret is tops3cret!", "the secret is …!"),
        ("\x1b[31mred\x1b[0m\x07 \udcff", "red ?"),
        ("is 404? yes; a password was asked for", "is 404? yes; a password was asked for"),
        ("a token is needed: set HF_TOKEN", "a token is needed: set HF_TOKEN"),
    ],
)
def test_text(text: str, expected: str) -> None:
    assert Redactor(["tops3cret"]).text(text) == expected


def test_long_text_keeps_both_ends() -> None:
    text = Redactor().text("a" * 5000 + "the reason")
    assert len(text) <= LONGEST + 5
    assert text.endswith("the reason")


def test_values_within_values() -> None:
    redactor = Redactor()
    redactor.add("tops3cret")
    assert redactor.value({"a": ["tops3cret", 1], "tops3cret": None}) == {"a": ["…", 1], "…": None}


def test_which_variables_are_secret() -> None:
    environ = {
        "HF_TOKEN": "hf-123456",
        "JUPYTER_PASSWORD": "longenough",
        "MY_API_KEY": "0123456",
        "OPEN_BUTTON_TOKEN": "1",
        "PATH": "/usr/bin:/bin",
    }
    assert secrets(environ) == ["hf-123456", "longenough", "0123456"]
