"""micromamba's failures in plain words, from what it said."""

from __future__ import annotations

import pytest

from init.stages.conda_trouble import explained


@pytest.mark.parametrize(
    ("lines", "message", "retry"),
    [
        (["critical libmamba filesystem error: cannot copy: No space left on device"], "the disk is full", False),
        (
            ["Download error (60) SSL peer certificate or SSH remote key was not OK [https://c.example/noarch/r.json]"],
            "https://c.example/noarch/r.json shows a certificate that is not trusted here",
            True,
        ),
        (["Transfer finalized, status: 403 [https://c.example/x] 0 bytes"], "is refused (HTTP 403)", False),
        (
            ["Transfer finalized, status: 503 [https://c.example/x] 0 bytes"],
            "cannot reach https://c.example/x: HTTP 503",
            True,
        ),
        (
            ["error    libmamba Could not solve for environment specs", "    ├─ a =* * is installable and it requires",
             "    │  └─ base ==1.0 *, which can be installed;", "    └─ z =* * is not installable because it requires",
             "       └─ base ==2.0 *, which conflicts with any installable versions previously reported."],
            "do not fit together: a is installable and it requires; base ==1.0, which can be installed; z is not",
            False,
        ),
        (
            ["error    libmamba Could not solve for environment specs",
             "    ├─ python =3.11 * is requested and can be installed;",
             "    └─ old =* * is not installable because there are no viable options",
             "       ├─ old 1.0 would require",
             "       │  └─ python =2.6 *, which does not exist (perhaps a missing channel);",
             "       └─ old 2.0 would require",
             "          └─ python =3.8 *, which conflicts with any installable versions previously reported."],
            "do not fit together: python =3.11 is requested and can be installed; old is not installable because",
            False,
        ),
        (
            ["error    libmamba Could not solve for environment specs", "  └─ cuda-version 12.9 requires",
             "     └─ __cuda >=12 *, which is missing on the system"],
            "wants another machine than this one (__cuda)",
            False,
        ),
        (
            ["critical libmamba Write failed", "Linking a-1.0-0", "critical libmamba Package cache error."],
            "the disk is full",
            False,
        ),
        (
            ["error    libmamba Could not find any writable cache directory for repodata file",
             "critical libmamba Subdir https://c.example/noarch not loaded!"],
            "there is no folder for what micromamba downloads",
            False,
        ),
        (
            ["error    libmamba Configuration file specified but does not exist at '/workspace/.mambarc'"],
            "/workspace/.mambarc does not exist",
            False,
        ),
        (
            ["critical libmamba Multiple errors occurred:", "    ssl_verify does not contain a valid file path.",
             "    Subdir https://c.example/noarch not loaded!"],
            "the file with the certificate authorities does not exist",
            False,
        ),
        (
            ["⚠ Shard Index for https://c.example/linux-64 not available, falling back to flat repodata",
             "critical libmamba Download error (18) Transferred a partial file [https://c.example/linux-64/a-1.0-0.conda]",
             "    end of response with 2013850 bytes missing"],
            "cannot reach https://c.example/linux-64/a-1.0-0.conda: Transferred a partial file",
            True,
        ),
        (
            ["    Could not load repodata.json for https://c.example/noarch after retry.Please check repodata source."],
            "https://c.example/noarch does not answer as a conda channel does",
            True,
        ),
        (
            ["error    libmamba File not valid: file size doesn't match expectation \"/c/https/c.example/a-1.conda\""],
            "a-1.conda is not what its channel says: it has another file size",
            True,
        ),
        (["critical libmamba something new"], "micromamba ended with 1: critical libmamba something new", True),
    ],
)  # fmt: skip
def test_failures_in_plain_words(lines: list[str], message: str, retry: bool) -> None:
    failure = explained(lines, 1)
    assert message in failure.message and failure.retry is retry


def test_settings_that_were_passed_over_are_named() -> None:
    lines = [
        "error    libmamba Error in file /workspace/.mambarc, skipping: yaml-cpp: error at line 2, column 1: no end",
        "critical libmamba Transfer finalized, status: 403 [https://c.example/x] 0 bytes",
    ]
    failure = explained(lines, 1)
    assert failure.hint and "in a file called `.mambarc`" in failure.hint
    assert failure.hint.endswith("; /workspace/.mambarc was passed over: yaml-cpp: error at line 2, column 1: no end")
