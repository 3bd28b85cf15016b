"""`./buildkit.py run` on a terminal: whoever presses Ctrl-C, closes the window or ends it stops the container, also
while a program inside has the terminal."""

from __future__ import annotations

import secrets
import signal
import sys
from pathlib import Path

import docker as docker_sdk
import pytest
from docker.errors import NotFound

from tests.terminal import CTRL_C, Terminal
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
INSIDE = r"""
cat >/usr/local/bin/firstlight <<'END'
#!/bin/sh
case $1 in
    token) echo "JupyterLab: http://localhost:8888/lab?token=abc" ;;
    status) echo "status shown on $(tty)"; %s ;;
esac
END
chmod +x /usr/local/bin/firstlight
exec perl -MIO::Socket::INET -e '
    $SIG{TERM} = sub { exit 0 };
    $server = IO::Socket::INET->new(LocalPort => 8888, Listen => 9, ReuseAddr => 1) or die;
    while ($client = $server->accept) {
        1 while <$client> =~ /\S/;
        print $client "HTTP/1.0 200 OK\r\n\r\n";
        close $client;
    }
'
"""
"""What answers on JupyterLab's port, and a `firstlight` whose `status` goes on as it is told."""


@pytest.mark.parametrize(
    ("goes_on", "number"),
    [
        pytest.param("exec sleep 600", None, id="ctrl-c-while-it-follows"),
        pytest.param("exit 0", None, id="ctrl-c-after-it-followed"),
        pytest.param("exec sleep 600", signal.SIGHUP, id="window-closed"),
        pytest.param("exit 0", signal.SIGTERM, id="ended"),
    ],
)
def test_it_stops(
    docker: docker_sdk.DockerClient, small: str, tmp_path: Path, goes_on: str, number: signal.Signals | None
) -> None:
    name = f"tiny-{secrets.token_hex(3)}"
    (tmp_path / "tiny.yaml").write_text(f"manifest: 1\nname: {name}\nimage: {{base: debian}}\n")
    words = [sys.executable, str(ROOT / "buildkit.py"), "run", "tiny.yaml", "--image", small]
    words += ["--volume", f"{tmp_path}/workspace", "--env", f"DO={INSIDE % goes_on}"]
    with Terminal(words, tmp_path) as terminal:
        try:
            terminal.shows("status shown on /dev/pts/", within=60)
            assert "/lab?token=abc\n" in terminal.text
            container = docker.containers.get(f"firstlight-{name}")
            until(lambda: goes_on != "exit 0" or not terminal.children(), 30, what="Docker gives the terminal back")
            if number is None:
                terminal.press(CTRL_C)
            else:
                terminal.process.send_signal(number)
            assert terminal.ended(within=30) == 130, terminal.text
            assert terminal.text.splitlines()[-1] == "stopping it"
            with pytest.raises(NotFound):
                container.reload()
        finally:
            for left in docker.containers.list(all=True, filters={"name": f"firstlight-{name}"}):
                left.remove(force=True)
