"""Source code in its place: git commits and shipped folders."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from init.failure import StageFailed
from init.specs import Code, GitSpec
from init.stages import code as code_module
from tests.stages.bench import Bench, kill, ran, write
from tests.stages.repositories import Repositories, git


def source(code: Code, *persist: str) -> GitSpec:
    return GitSpec("app", code, list(persist))


def at(bench: Bench) -> Path:
    return bench.paths.source("app")


def test_a_commit_is_fetched_alone(bench: Bench, repos: Repositories) -> None:
    first = repos.commit("app", {"main.py": "1"})
    repos.commit("app", {"main.py": "2"})
    outcome = bench.run(source(Code(repos.smart("app"), "main", first)))
    assert outcome.result == {"commit": first, "changed": False}
    assert outcome.message == f"app at {first[:12]}"
    assert (at(bench) / "main.py").read_text() == "1"
    assert git("rev-list", "--count", "HEAD", cwd=at(bench)).strip() == "1"
    assert all(path.exists() for path in outcome.made)


def test_a_server_without_shallow_fetch_gives_everything(bench: Bench, repos: Repositories) -> None:
    first = repos.commit("app", {"main.py": "1"})
    repos.commit("app", {"main.py": "2"})
    assert bench.run(source(Code(repos.dumb("app"), "main", first))).result["commit"] == first
    assert (at(bench) / "main.py").read_text() == "1"


@pytest.mark.parametrize("ref", ["main", "v1", "short"])
def test_a_ref_without_lock_is_resolved_and_remembered(bench: Bench, repos: Repositories, ref: str) -> None:
    commit = repos.commit("app", {"main.py": "1"}, tag="v1")
    ref = commit[:9] if ref == "short" else ref
    assert bench.run(source(Code(repos.smart("app"), ref))).result["commit"] == commit
    repos.commit("app", {"main.py": "2"})
    assert bench.run(source(Code(repos.smart("app"), ref))).result["commit"] == commit
    git("update-ref", "-d", "refs/heads/other", cwd=repos.folder / "app")
    subprocess.run(["rm", "-rf", bench.paths.disk], check=True)
    assert bench.run(source(Code(repos.smart("app"), ref))).result["commit"] == commit, "a new disk gets the same code"


def test_nothing_is_fetched_twice(bench: Bench, repos: Repositories) -> None:
    spec = source(Code(repos.smart("app"), "main", repos.commit("app", {"main.py": "1"})))
    bench.run(spec)
    before = len(ran(bench.log, "git", "fetch"))
    bench.run(spec)
    assert len(ran(bench.log, "git", "fetch")) == before == 1


def test_another_commit_keeps_what_the_user_added(bench: Bench, repos: Repositories) -> None:
    old = repos.commit("app", {"main.py": "1", "lib/old.py": "1", ".gitignore": "custom/*\n"})
    new = repos.commit("app", {"main.py": "2", "lib/old.py": None, "lib/notes.md": "theirs"})
    bench.run(source(Code(repos.smart("app"), "main", old)))
    write(at(bench), {"custom/mine/node.py": "mine", "lib/mine.py": "mine", "lib/notes.md": "mine"})
    outcome = bench.run(source(Code(repos.smart("app"), "main", new)))
    assert outcome.result["commit"] == new
    assert (at(bench) / "main.py").read_text() == "2"
    assert not (at(bench) / "lib/old.py").exists()
    assert (at(bench) / "custom/mine/node.py").read_text() == "mine"
    assert (at(bench) / "lib/mine.py").read_text() == "mine"
    assert (at(bench) / "lib/notes.md").read_text() == "theirs"
    kept = list(Path(bench.paths.disk, "kept").iterdir())
    assert [file.read_text() for file in kept] == ["mine"]


@pytest.mark.parametrize("change", ["edit", "commit", "stash", "branch"])
def test_a_changed_copy_is_moved_aside(bench: Bench, repos: Repositories, change: str) -> None:
    old, new = repos.commit("app", {"main.py": "1"}), repos.commit("app", {"main.py": "2"})
    bench.run(source(Code(repos.smart("app"), "main", old)))
    (at(bench) / "main.py").write_text("mine")
    if change == "commit":
        git("commit", "-qam", "mine", cwd=at(bench))
    elif change == "stash":
        git("stash", "-q", cwd=at(bench))
    elif change == "branch":
        git("checkout", "-qb", "mine", cwd=at(bench))
        git("commit", "-qam", "mine", cwd=at(bench))
        git("checkout", "-q", "--detach", old, cwd=at(bench))
    if change != "commit":
        left = bench.run(source(Code(repos.smart("app"), "main", old)))
        assert left.result["changed"] and "has changes of yours, left as they are" in left.message
    outcome = bench.run(source(Code(repos.smart("app"), "main", new)))
    (kept,) = Path(bench.paths.disk, "kept").iterdir()
    assert f"your changed copy was moved to {kept}" in outcome.message
    assert (at(bench) / "main.py").read_text() == "2"
    if change == "edit":
        assert (kept / "main.py").read_text() == "mine"


def test_a_foreign_folder_in_the_way_is_moved_aside(bench: Bench, repos: Repositories) -> None:
    write(at(bench), {"precious.txt": "mine"})
    outcome = bench.run(source(Code(repos.smart("app"), "main", repos.commit("app", {"main.py": "1"}))))
    (kept,) = Path(bench.paths.disk, "kept").iterdir()
    assert (kept / "precious.txt").read_text() == "mine" and str(kept) in outcome.message


def test_a_link_of_the_user_is_left_alone(bench: Bench, repos: Repositories, tmp_path: Path) -> None:
    own = write(tmp_path / "own", {"main.py": "mine"})
    at(bench).parent.mkdir(parents=True)
    at(bench).symlink_to(own)
    outcome = bench.run(source(Code(repos.smart("app"), "main", repos.commit("app", {"main.py": "1"})), "user"))
    assert outcome.result["changed"] and [file.name for file in own.iterdir()] == ["main.py"]


def test_submodules(bench: Bench, repos: Repositories) -> None:
    repos.commit("part", {"part.txt": "part"})
    commit = repos.commit("app", {"main.py": "1"}, submodule=repos.smart("part"))
    bench.run(source(Code(repos.smart("app"), "main", commit, submodules=True)))
    assert (at(bench) / "part/part.txt").read_text() == "part"


@pytest.mark.parametrize(
    ("where", "ref", "message"),
    [
        ("smart/app", "nosuch", "has no branch, tag or commit 'nosuch'"),
        ("smart/app", "1" * 40, f"has no branch, tag or commit '{'1' * 40}'"),
        ("smart/app", "abcdef0", "has no branch, tag or commit 'abcdef0'"),
        ("private/app", "main", "asks for a login: it is private, or it does not exist"),
        ("dumb/nothing", "main", "there is no repository at"),
    ],
)
def test_what_cannot_work_is_explained(bench: Bench, repos: Repositories, where: str, ref: str, message: str) -> None:
    repos.commit("app", {"main.py": "1"})
    with pytest.raises(StageFailed, match=message) as failure:
        bench.run(source(Code(f"{repos.address}/{where}", ref)))
    assert not failure.value.retry and failure.value.hint
    assert not at(bench).exists()


def test_a_dead_network_is_explained_and_tried_again(bench: Bench) -> None:
    with pytest.raises(StageFailed, match=r"cannot fetch from 127\.0\.0\.1: .*onnect") as failure:
        bench.run(source(Code("http://127.0.0.1:9/app", "main")))
    assert failure.value.retry and failure.value.hint == "check the network, then retry"


def test_an_interrupted_clone_goes_on(bench: Bench, repos: Repositories) -> None:
    commit = repos.commit("app", {"main.py": "1"})
    spec = source(Code(repos.smart("app"), "main", commit))
    bench.run(spec)
    # As a kill leaves it between the fetch and the end of the checkout.
    at(bench).rename(partial := at(bench).with_name(".app.partial"))
    (partial / ".git/index.lock").write_text("")
    (partial / "main.py").unlink()
    bench.run(spec)
    assert (at(bench) / "main.py").read_text() == "1"
    assert len(ran(bench.log, "git", "fetch")) == 1, "what was there is not fetched again"


def test_killed_at_any_step_of_a_replacement(
    bench: Bench, repos: Repositories, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = (
        repos.commit("app", {"main.py": "1", "gone.py": "1"}),
        repos.commit("app", {"main.py": "2", "gone.py": None}),
    )
    rename, steps = Path.rename, 0
    for step in range(1, 6):
        bench.run(source(Code(repos.smart("app"), "main", old)))
        write(at(bench), {"mine/a.txt": "mine"})
        left = step

        def dying(path: Path, target: Path) -> Path:
            nonlocal left
            if str(bench.paths.disk) in str(path):
                left -= 1
                if left == 0:
                    raise KeyboardInterrupt
            return rename(path, target)

        with monkeypatch.context() as patched, contextlib.suppress(KeyboardInterrupt):
            patched.setattr(Path, "rename", dying)
            bench.run(source(Code(repos.smart("app"), "main", new)))
        steps += left <= 0
        bench.run(source(Code(repos.smart("app"), "main", new)))
        assert (at(bench) / "main.py").read_text() == "2"
        assert (at(bench) / "mine/a.txt").read_text() == "mine"
        assert not (at(bench) / "gone.py").exists()
        assert sorted(path.name for path in at(bench).parent.iterdir()) == ["app"]
    assert steps >= 3, "it died at each of its steps"
    assert not Path(bench.paths.disk, "kept").exists() or not list(Path(bench.paths.disk, "kept").iterdir())


def test_a_shipped_folder(bench: Bench) -> None:
    files = write(bench.paths.files, {"demo/main.py": "1", "demo/old.py": "1", "demo/data/x.txt": "x"})
    (files / "demo/again").symlink_to("data")
    first = bench.run(source(Code(path="demo", digest="a")))
    assert first.result == {"commit": "a", "changed": False} and (at(bench) / "again/x.txt").read_text() == "x"
    assert bench.run(source(Code(path="demo", digest="a"))).message == "app at a"
    write(at(bench), {"data/mine.txt": "mine", "__pycache__/x.pyc": ""})
    write(files, {"demo/main.py": "2"})
    (files / "demo/old.py").unlink()
    bench.run(source(Code(path="demo", digest="b")))
    assert (at(bench) / "main.py").read_text() == "2" and (at(bench) / "data/mine.txt").read_text() == "mine"
    assert not (at(bench) / "old.py").exists()
    (at(bench) / "main.py").write_text("mine")
    assert bench.run(source(Code(path="demo", digest="b"))).result["changed"]
    outcome = bench.run(source(Code(path="demo", digest="c")))
    (kept,) = Path(bench.paths.disk, "kept").iterdir()
    assert (kept / "main.py").read_text() == "mine" and str(kept) in outcome.message


def test_shipped_folders_that_cannot_be_used(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match="the image does not hold the folder nothing"):
        bench.run(source(Code(path="nothing")))
    write(bench.paths.files, {"demo/main.py": "1"})
    (bench.paths.files / "demo/out").symlink_to("/etc")
    with pytest.raises(StageFailed, match="demo/out is a link that leads out of its folder"):
        bench.run(source(Code(path="demo")))
    (bench.paths.files / "sideways").symlink_to("/etc")
    with pytest.raises(StageFailed, match="the image does not hold the folder sideways"):
        bench.run(source(Code(path="sideways")))


def test_the_users_folders_live_on_the_workspace(bench: Bench, repos: Repositories) -> None:
    commit = repos.commit("app", {"main.py": "1", "input/example.png": "theirs", "input/deep/a.txt": "theirs"})
    workspace = write(Path(bench.paths.workspace, "app"), {"input/example.png": "mine"})
    spec = source(Code(repos.smart("app"), "main", commit), "input", "user/default")
    outcome = bench.run(spec)
    assert (at(bench) / "input").readlink() == workspace / "input"
    assert (at(bench) / "user/default").readlink() == workspace / "user/default"
    assert (workspace / "input/example.png").read_text() == "mine"
    assert (workspace / "input/deep/a.txt").read_text() == "theirs"
    assert all(path.exists() for path in outcome.made)
    again = bench.run(spec)
    assert not again.result["changed"], "what lies on the workspace is no change of the source"
    new = repos.commit("app", {"input/example.png": "theirs 2", "input/new.txt": "new"})
    assert bench.run(source(Code(repos.smart("app"), "main", new), "input")).result["commit"] == new
    assert (workspace / "input/example.png").read_text() == "mine" and (
        workspace / "input/new.txt"
    ).read_text() == "new"
    assert (at(bench) / "input").is_symlink() and (at(bench) / "user/default").is_symlink()


@pytest.mark.parametrize("folder", ["../../etc", "/etc", "a/../../b", ".git", "."])
def test_a_persistent_folder_outside_is_refused(bench: Bench, repos: Repositories, folder: str) -> None:
    commit = repos.commit("app", {"main.py": "1"})
    with pytest.raises(StageFailed, match="leaves its source"):
        bench.run(source(Code(repos.smart("app"), "main", commit), folder))


def test_links_and_files_of_the_source_are_not_persisted(bench: Bench, repos: Repositories, tmp_path: Path) -> None:
    repos.commit("app", {"main.py": "1"})
    work = repos.folder / ".app.work"
    (work / "output").symlink_to("/etc")
    commit = repos.commit("app", {})
    for folder, message in [
        ("output", "output in the source is a link of its own"),
        ("output/cron.d", "is a link, so output/cron.d cannot be kept"),
        ("main.py", "is a file; only folders can be kept"),
    ]:
        with pytest.raises(StageFailed, match=message):
            bench.run(source(Code(repos.smart("app"), "main", commit), folder))
    (at(bench) / "models").symlink_to(tmp_path)
    outcome = bench.run(source(Code(repos.smart("app"), "main", commit), "models"))
    assert "models is a link of yours, left as it is" in outcome.message


def test_links_within_a_persistent_folder_bring_nothing_to_the_workspace(bench: Bench, repos: Repositories) -> None:
    repos.commit("app", {"input/a.txt": "theirs"})
    work = repos.folder / ".app.work"
    (work / "input/hosts").symlink_to("/etc/hosts")
    (work / "input/etc").symlink_to("/etc")
    bench.run(source(Code(repos.smart("app"), "main", repos.commit("app", {})), "input"))
    assert [path.name for path in Path(bench.paths.workspace, "app/input").iterdir()] == ["a.txt"]


def test_submodules_and_sources_from_this_machines_own_disk_are_refused(bench: Bench, repos: Repositories) -> None:
    repos.commit("part", {"secret.txt": "not theirs"})
    local = str(repos.folder / "part")
    commit = repos.commit("app", {"main.py": "1"}, submodule=local)
    for code in (Code(repos.smart("app"), "main", commit, submodules=True), Code(f"file://{local}", "main")):
        with pytest.raises(StageFailed, match="transport 'file' not allowed"):
            bench.run(source(code))
    assert not at(bench).exists()


def test_kill_while_fetching(bench: Bench, repos: Repositories) -> None:
    """A clone killed with the whole runner leaves nothing under the final name, and the next one ends it."""
    commit = repos.commit("app", {f"file{n}.txt": f"{n}\n" * 20000 for n in range(40)})
    script = (
        "import sys; from pathlib import Path; from init.specs import Code, GitSpec;"
        "from tests.stages.bench import Bench;"
        "Bench(Path(sys.argv[1]), Path(sys.argv[2])).run(GitSpec('app', Code(sys.argv[3], 'main', sys.argv[4])))"
    )
    words = [sys.executable, "-c", script, str(bench.root), str(bench.cache), repos.smart("app"), commit]
    partial = at(bench).with_name(".app.partial")
    for moment in (".git/FETCH_HEAD", "file1.txt"):
        runner = subprocess.Popen(words, env={**os.environ})
        while runner.poll() is None and not (partial / moment).exists():
            os.sched_yield()
        kill(bench, runner)
        assert not at(bench).exists() or (at(bench) / "file39.txt").exists()
    assert bench.run(source(Code(repos.smart("app"), "main", commit))).result["commit"] == commit
    assert git("status", "--porcelain", cwd=at(bench)) == ""


def test_stamps_of_another_version_are_passed_over(bench: Bench, repos: Repositories) -> None:
    commit = repos.commit("app", {"main.py": "1"})
    spec = source(Code(repos.smart("app"), "main", commit))
    bench.run(spec)
    (at(bench) / ".git" / code_module._STAMP).write_text('{"something": "else"}')
    assert bench.run(spec).result["commit"] == commit
