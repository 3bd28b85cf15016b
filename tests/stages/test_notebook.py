"""The guide at the workspace's top: the newest of a repository, the user's own, or the image's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from init.failure import StageFailed
from init.specs import NotebookSpec
from init.stages import HANDLERS
from tests.stages.bench import Bench, ran, write
from tests.stages.repositories import Repositories

NAME = "Setup_Guide.ipynb"


def notebook(*sources: str, outputs: str = "", **cell: Any) -> str:
    """As JupyterLab writes it; with `outputs` as it is after it was run."""
    shown = [{"output_type": "stream", "name": "stdout", "text": [outputs]}] if outputs else []
    cells = [
        {
            "cell_type": "code",
            "execution_count": 7 if outputs else None,
            "id": f"c{number}",
            "metadata": {"scrolled": True} if outputs else {},
            "outputs": shown,
            "source": source.splitlines(keepends=True),
            **cell,
        }
        for number, source in enumerate(sources)
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


BAKED = notebook("print('of the image')")


@pytest.fixture
def spec(bench: Bench) -> NotebookSpec:
    write(bench.paths.files, {f"visomaster/{NAME}": BAKED})
    return NotebookSpec(f"visomaster/{NAME}", "0" * 64)


def at(bench: Bench, name: str = NAME) -> Path:
    return Path(bench.paths.workspace, name)


def first_cell(path: Path) -> str:
    return "".join(json.loads(path.read_text())["cells"][0]["source"])


def follow(bench: Bench, url: str, name: str = "") -> None:
    bench.environ = {"NOTEBOOK_REPO_URL": url, "NOTEBOOK_FILENAME": name}


def test_without_a_repository_the_images_own_is_there(bench: Bench, spec: NotebookSpec) -> None:
    outcome = bench.run(spec)
    assert (outcome.state, outcome.message) == ("done", "Setup_Guide.ipynb of the image is used")
    assert at(bench).read_text() == BAKED and outcome.made == [at(bench)]
    kernel = json.loads(Path(bench.paths.disk, "share/jupyter/kernels/setup-guide/kernel.json").read_text())
    assert kernel["argv"][0] == str(bench.paths.control / "bin" / "python"), "it runs before any environment is there"


@pytest.mark.parametrize("kind", ["smart", "dumb"])
def test_the_newest_comes_from_the_repository(bench: Bench, spec: NotebookSpec, repos: Repositories, kind: str) -> None:
    address = repos.smart("guides") if kind == "smart" else repos.dumb("guides")
    commit = repos.commit("guides", {NAME: notebook("one"), "large.bin": "x" * 9999})
    follow(bench, address)
    outcome = bench.run(spec)
    assert outcome.message == f"{NAME} as of {commit[:12]} of {address}"
    assert first_cell(at(bench)) == "one"
    repos.commit("guides", {NAME: notebook("two")})
    assert bench.run(spec).message.endswith("; brought up to date")
    assert first_cell(at(bench)) == "two"


@pytest.mark.parametrize("ref", ["v1", "main", "commit"])
def test_the_manifest_may_name_a_ref_and_a_place(
    bench: Bench, spec: NotebookSpec, repos: Repositories, ref: str
) -> None:
    commit = repos.commit("guides", {"docs/My Guide.ipynb": notebook("old")}, tag="v1")
    repos.commit("guides", {"docs/My Guide.ipynb": notebook("new")})
    wanted = commit if ref == "commit" else ref
    bench.run(NotebookSpec(spec.file, spec.digest, repos.smart("guides"), wanted, "docs/My Guide.ipynb"))
    assert first_cell(at(bench, "My Guide.ipynb")) == ("new" if ref == "main" else "old")


def test_what_the_user_wrote_stays_and_the_newer_one_lies_beside_it(
    bench: Bench, spec: NotebookSpec, repos: Repositories
) -> None:
    repos.commit("guides", {NAME: notebook("one")})
    follow(bench, repos.smart("guides"))
    bench.run(spec)
    at(bench).write_text(notebook("mine"))
    assert bench.run(spec).message.endswith("has changes of yours and stays as it is; nothing newer has come")
    assert not at(bench, "Setup_Guide.incoming.ipynb").exists()

    repos.commit("guides", {NAME: notebook("two")})
    for _ in range(2):
        outcome = bench.run(spec)
        assert outcome.state == "done"
        assert outcome.message.endswith(
            "; your Setup_Guide.ipynb has changes of yours and stays as it is;"
            " the newer one lies beside it, Setup_Guide.incoming.ipynb"
        )
    assert first_cell(at(bench)) == "mine"
    assert first_cell(at(bench, "Setup_Guide.incoming.ipynb")) == "two"
    repos.commit("guides", {NAME: notebook("three")})
    bench.run(spec)
    assert first_cell(at(bench, "Setup_Guide.incoming.ipynb")) == "three"

    at(bench, "Setup_Guide.incoming.ipynb").write_text(notebook("mine, too"))
    repos.commit("guides", {NAME: notebook("four")})
    bench.run(spec)
    assert first_cell(at(bench, "Setup_Guide.incoming.ipynb")) == "mine, too"
    assert first_cell(at(bench, "Setup_Guide.incoming-2.ipynb")) == "four"


def test_running_it_is_no_change(bench: Bench, spec: NotebookSpec, repos: Repositories) -> None:
    repos.commit("guides", {NAME: notebook("one\nmore")})
    follow(bench, repos.smart("guides"))
    bench.run(spec)
    ran = json.loads(notebook("one\nmore", outputs="done"))
    ran["metadata"] = {"language_info": {"name": "python"}}
    ran["cells"][0]["source"] = "one\nmore"
    at(bench).write_text(json.dumps(ran))
    repos.commit("guides", {NAME: notebook("two")})
    assert bench.run(spec).message.endswith("; brought up to date")
    assert first_cell(at(bench)) == "two"


@pytest.mark.parametrize("mine", ["a folder", "a link", "no json"])
def test_whatever_else_stands_there_is_the_users(
    bench: Bench, spec: NotebookSpec, repos: Repositories, mine: str
) -> None:
    repos.commit("guides", {NAME: notebook("one")})
    follow(bench, repos.smart("guides"))
    at(bench).parent.mkdir(parents=True)
    if mine == "a folder":
        at(bench).mkdir()
    elif mine == "a link":
        at(bench).symlink_to(write(at(bench).parent, {"else.ipynb": BAKED}) / "else.ipynb")
    else:
        at(bench).write_text("half a note")
    assert "lies beside it, Setup_Guide.incoming.ipynb" in bench.run(spec).message
    assert first_cell(at(bench, "Setup_Guide.incoming.ipynb")) == "one"
    assert (at(bench).is_dir(), at(bench).is_symlink()) == (mine == "a folder", mine == "a link")


def test_a_link_to_an_older_one_stays_a_link(bench: Bench, spec: NotebookSpec, repos: Repositories) -> None:
    """Whoever keeps the notebook elsewhere wants it there."""
    repos.commit("guides", {NAME: notebook("one")})
    follow(bench, repos.smart("guides"))
    bench.run(spec)
    elsewhere = at(bench).rename(at(bench, "elsewhere.ipynb"))
    at(bench).symlink_to(elsewhere)
    repos.commit("guides", {NAME: notebook("two")})
    assert "lies beside it, Setup_Guide.incoming.ipynb" in bench.run(spec).message
    assert at(bench).is_symlink() and first_cell(elsewhere) == "one"


def test_without_a_network_the_images_own_is_used_or_what_came_last(bench: Bench, spec: NotebookSpec) -> None:
    follow(bench, "http://127.0.0.1:1/guides")
    outcome = bench.run(spec)
    assert outcome.state == "done"
    assert outcome.message.startswith("no newer one could be had (cannot fetch from 127.0.0.1: ")
    assert outcome.message.endswith("; Setup_Guide.ipynb of the image is used")
    at(bench).write_text(notebook("came last"))
    assert bench.run(spec).message.endswith("; the Setup_Guide.ipynb that is here stays")
    assert first_cell(at(bench)) == "came last"


def test_a_repository_that_is_none_or_private_is_no_reason_to_fail(
    bench: Bench, spec: NotebookSpec, repos: Repositories
) -> None:
    for address, said in (
        (repos.dumb("nothing"), "there is no repository at"),
        (f"{repos.address}/private/guides", "asks for a login"),
    ):
        follow(bench, address)
        outcome = bench.run(spec)
        assert (outcome.state, said in outcome.message) == ("done", True), outcome.message
        assert not Path(bench.paths.disk, "notebook").exists(), "what is of no use takes no room"
    assert at(bench).read_text() == BAKED


def test_a_password_in_the_address_is_refused_and_never_shown(bench: Bench, spec: NotebookSpec) -> None:
    follow(bench, "https://me:pa55word@git.example/guides?token=pa55word")
    with pytest.raises(StageFailed, match=r"https://git\.example/guides holds a password: take a repository") as failed:
        bench.run(spec)
    assert "pa55word" not in failed.value.message + bench.log + repr(bench.messages)
    assert ran(bench.log, "git") == [] and at(bench).read_text() == BAKED


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../outside.ipynb", "the file name '../outside.ipynb' leaves its folder"),
        ("/etc/passwd.ipynb", "the file name '/etc/passwd.ipynb' leaves its folder"),
        ("a\\b.ipynb", "leaves its folder"),
        ("main.py", "the file name 'main.py' does not end in .ipynb"),
        (".ipynb", "does not end in .ipynb"),
        ("absent.ipynb", "the repository has no such file"),
        ("text.ipynb", "it is not JSON"),
        ("data.ipynb", "it is JSON without the cells of a notebook"),
        ("cells.ipynb", "one of its cells is none"),
        ("link.ipynb", "it is no plain file"),
        ("other.ipynb", "it is no plain file"),
        ("folder.ipynb", "it is no plain file"),
    ],
)
def test_what_is_no_notebook_is_refused_with_the_reason(
    bench: Bench, spec: NotebookSpec, repos: Repositories, name: str, reason: str
) -> None:
    (repos.folder / "links").mkdir()
    (repos.folder / "links" / "link.ipynb").symlink_to("/etc/passwd")
    files: dict[str, str | None] = {
        "text.ipynb": "hello",
        "data.ipynb": '{"a": 1}',
        "cells.ipynb": '{"nbformat": 4, "cells": [1]}',
        "main.py": "",
        "good.ipynb": BAKED,
        "folder.ipynb/good.ipynb": BAKED,
    }
    work = repos.folder / ".guides.work"
    repos.commit("guides", files)
    (work / "link.ipynb").symlink_to("/etc/passwd")
    (work / "other.ipynb").symlink_to("good.ipynb")
    repos.commit("guides", {})
    follow(bench, repos.smart("guides"), name)
    with pytest.raises(StageFailed) as failed:
        bench.run(spec)
    assert reason in failed.value.message and not failed.value.retry
    assert failed.value.message.endswith("; Setup_Guide.ipynb of the image is used")
    assert failed.value.hint is not None and "NOTEBOOK_FILENAME" in failed.value.hint
    assert failed.value.result == {"without": "a newer Setup_Guide.ipynb"}
    assert not Path(bench.paths.disk, "notebook").exists(), "however large the repository is"
    assert at(bench).read_text() == BAKED
    assert sorted(path.name for path in at(bench).parent.iterdir() if path.suffix == ".ipynb") == [NAME]


@pytest.mark.parametrize(
    "url", ["--upload-pack=id", "file:///etc", "ssh://git@host/x", "https://", "ext::sh -c id", "http://[x"]
)
def test_an_address_of_another_kind_is_refused(bench: Bench, spec: NotebookSpec, url: str) -> None:
    follow(bench, url)
    with pytest.raises(StageFailed, match="is no address of a repository; it begins with https://"):
        bench.run(spec)
    assert ran(bench.log, "git") == []


def test_a_name_without_a_repository_is_explained(bench: Bench, spec: NotebookSpec) -> None:
    bench.environ = {"NOTEBOOK_FILENAME": "Other.ipynb"}
    said = bench.run(spec).message
    assert said.startswith("NOTEBOOK_FILENAME is Other.ipynb, and there is no repository to take it from; ")


def test_every_start_looks_again_and_a_killed_runner_does_not(bench: Bench, spec: NotebookSpec) -> None:
    bench.environ = {"SUPERVISOR_ENABLED": "1"}
    context = bench.context(spec)
    found = HANDLERS["notebook"].abi(context)
    assert found == HANDLERS["notebook"].abi(context) and found["start"] != ""


@pytest.mark.parametrize("kept", ["null", "[]", "{", '{"Setup_Guide.ipynb": 5}', '{"Setup_Guide.ipynb": null}'])
def test_a_damaged_memory_costs_no_more_than_the_memory(bench: Bench, spec: NotebookSpec, kept: str) -> None:
    bench.run(spec)
    memory = bench.paths.state / "notebooks.json"
    memory.write_text(kept)
    assert bench.run(spec).message == "Setup_Guide.ipynb of the image is used"
    assert list(json.loads(memory.read_text())) == [NAME]


def test_a_name_that_no_disk_takes_is_refused_wherever_it_would_come_from(bench: Bench, spec: NotebookSpec) -> None:
    for url in ("", "http://127.0.0.1:1/guides"):
        follow(bench, url, f"{'x' * 250}.ipynb")
        with pytest.raises(StageFailed, match=r"the file name 'x{40}…' is too long; Setup_Guide\.ipynb of the image"):
            bench.run(spec)
        assert at(bench).read_text() == BAKED
