"""Every image: JupyterLab first, nobody comes in without the token, and nothing complains."""

from __future__ import annotations

import json
import re

import pytest

from tests.images.machine import Machine
from tests.waiting import until

SUPERVISORCTL = ("/opt/firstlight/control/bin/supervisorctl", "-c", "/opt/firstlight/etc/supervisord.conf")


@pytest.fixture
def jupyter(container: Machine) -> int:
    return container.loaded.manifest.jupyter.port


def test_jupyterlab_answers_who_has_the_token(container: Machine, jupyter: int) -> None:
    answer = container.get(jupyter, "/lab", headers=container.bearer())
    assert answer.status == 200
    assert "JupyterLab" in answer.body


@pytest.mark.boot_log(allow=[r" 403 GET /(api|terminals)/", "wrote error: 'Forbidden'"])
@pytest.mark.parametrize("path", ["/lab", "/api/contents", "/api/kernels", "/terminals/1"])
def test_jupyterlab_refuses_who_has_none(container: Machine, jupyter: int, path: str) -> None:
    answer = container.get(jupyter, path)
    assert answer.status == (403 if path.startswith("/api") else 302)
    assert container.token not in answer.headers.get("Location", "")


def test_notebooks_run_in_the_manifest_s_environments_only(container: Machine, jupyter: int) -> None:
    kernels = [name for name, env in container.loaded.manifest.python.envs.items() if env.kernel]
    said = json.loads(container.get(jupyter, "/api/kernelspecs", headers=container.bearer()).body)
    assert said["default"] == kernels[0] and kernels[0] in said["kernelspecs"]
    guide = {"setup-guide"} if container.loaded.manifest.notebook else set()
    assert set(said["kernelspecs"]) <= {*kernels, *guide}, "JupyterLab's own environment is for a guide's cells only"


def test_the_notebook_kernel_has_what_is_promised(container: Machine) -> None:
    python = "/opt/envs/notebook/bin/python"
    container.run(python, "-c", "import ipywidgets, matplotlib, notebook, pandas; from firstlight_lab import progress")


def test_a_user_can_sign_in_to_the_model_hub(container: Machine) -> None:
    told = container.host.run("hf auth whoami")
    assert "Not logged in" in told.stdout + told.stderr


def test_the_file_browser_reaches_everything(container: Machine, jupyter: int) -> None:
    for folder in ("workspace", "opt", "var/log/supervisor"):
        answer = container.get(jupyter, f"/api/contents/{folder}", headers=container.bearer())
        assert (answer.status, json.loads(answer.body)["type"]) == (200, "directory")
    page = container.get(jupyter, "/lab", headers=container.bearer()).body
    told = json.loads(
        re.findall(r'<script id="jupyter-config-data" type="application/json">(.*?)</script>', page, re.S)[0]
    )
    assert (told["serverRoot"], told["preferredPath"]) == ("/", "workspace")


@pytest.mark.boot_log(allow=[r" 403 POST /api/contents ", "'_xsrf' argument missing from POST"])
def test_xsrf_is_checked(container: Machine, jupyter: int) -> None:
    login = container.get(jupyter, "/login")
    cookies = login.headers.get("Set-Cookie", "")
    assert "_xsrf=" in cookies
    asked = container.get(jupyter, "/api/contents", method="POST", headers={"Cookie": f"_xsrf={'0' * 20}"})
    assert asked.status == 403


def test_the_portal_answers_and_asks_for_the_token(container: Machine) -> None:
    port = container.loaded.manifest.portal.port
    asked = container.get(port, "/")
    assert asked.status == 401
    assert "token" in asked.body
    assert container.get(port, "/", headers=container.bearer()).status == 200


def test_the_ports_of_apps_answer_from_the_first_second(container: Machine) -> None:
    for name, service in container.loaded.manifest.services.items():
        if service.port:
            # What one gets who may come in: the app, or the page that says how far it is.
            answer = container.get(service.port, headers=container.bearer() | {"Accept": "text/html"})
            assert answer.status == 200 or (answer.status == 503 and 'data-page="holding"' in answer.body), name
            assert container.get(service.port).status == (401 if service.auth == "portal" else answer.status), name


def test_supervisor_keeps_the_first_three_alive(container: Machine) -> None:
    for program in ("jupyterlab", "portal", "init"):
        status = container.run(*SUPERVISORCTL, "status", program)
        assert "RUNNING" in status, status


def test_init_runs_and_tells(container: Machine) -> None:
    assert until(lambda: container.state()["phase"], within=30) in ("starting", "ready", "degraded", "failed")


def test_the_container_is_healthy(container: Machine) -> None:
    container.container.reload()
    assert container.container.attrs["State"]["Health"]["Status"] == "healthy"


def test_the_boot_log_has_no_complaint(container: Machine) -> None:
    assert container.complaints() == []


def test_the_token_stands_in_no_log(container: Machine) -> None:
    for name, text in container.logs().items():
        assert container.token not in text, name
    # The full address is printed once, before anything else starts; that is how the user learns it.
    _, supervisor, rest = container.said().partition("supervisord started")
    assert supervisor == "" or container.token not in rest


def test_the_token_stands_in_no_command_line(container: Machine) -> None:
    titles = [" ".join(row) for row in container.container.top(ps_args="-eo pid,args")["Processes"]]
    assert titles
    assert not [title for title in titles if container.token in title]


def test_the_token_is_for_its_owner_only(container: Machine) -> None:
    file = container.host.file("/workspace/.firstlight/token")
    assert file.mode == 0o600
    assert file.content_string.strip() == container.token


def test_files_belong_to_the_user_and_only_the_user_may_write(container: Machine) -> None:
    user = container.loaded.manifest.image.user
    assert container.host.file("/workspace/.firstlight").user == user
    loose = container.run("find", "/opt/firstlight", "-xdev", "!", "-type", "l", "-perm", "-o+w").split()
    # uv leaves an empty lock in the environments that it makes.
    assert [file for file in loose if not file.endswith("/.lock")] == []


def test_every_process_runs_as_the_image_s_user(container: Machine) -> None:
    own = container.own()
    assert len({owner for owner, _ in own}) == 1, own


def test_nothing_says_latest(container: Machine) -> None:
    attributes = container.attributes
    assert not [tag for tag in attributes["RepoTags"] if tag.endswith(":latest")]
    labels = attributes["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"]
    assert not [key for key, value in labels.items() if re.search(r"\blatest\b", value)]


def test_the_image_carries_no_secret(container: Machine) -> None:
    configuration = json.dumps(container.attributes["Config"])
    assert not re.search(r"(TOKEN|PASSWORD|SECRET)=[^\"]", configuration)


def test_the_system_s_certificates_are_its_own(container: Machine, docker: object) -> None:
    for place in ("/run/secrets/ca", "/run/secrets/hf_token", "/run/secrets/civitai_token"):
        assert not container.host.file(place).exists
