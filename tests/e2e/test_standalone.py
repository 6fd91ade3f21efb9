"""`userproxy standalone`: the demo as root and as an ordinary user, manifests, the agent against it, nothing left behind."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.agent import USERPROXY, started
from tests.e2e.child import ROOT
from tests.e2e.manifest import endpoint_slice
from tests.e2e.waiting import until
from tests.netns import Namespace, namespace, needs_netns, needs_programs

pytestmark = [pytest.mark.netns, needs_netns, needs_programs("nft", "setpriv", "curl")]

NOBODY = (
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--bounding-set=-all",
    "--inh-caps=-all",
)
API = "http://127.0.0.1:8001"
PLAIN = "--no-api-tls"
"""The API over plain HTTP, where curl needs no token."""
WEB = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: 10.96.7.7
  ports: [{port: 80, targetPort: 8080}]
""" + endpoint_slice("web")


WHO = """
import socketserver, sys
class Who(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(9999)
        name = self.server.server_address[0]
        self.request.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\nfrom " + name.encode())
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer((sys.argv[1], 8080), Who).serve_forever()
"""
"""An endpoint that says its address."""


class Demo:
    """A running `userproxy standalone`; `output` is what the person who started it sees."""

    def __init__(self, home: Namespace, output: Path, *arguments: str, before: tuple[str, ...] = ()) -> None:
        self.home = home
        self._output = output
        with output.open("w") as file:
            self.process = home.start(
                *before, *USERPROXY, "standalone", *arguments, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def curl(self, *arguments: str) -> str:
        """The answer, empty when there is none."""
        return self.home.run("curl", "--silent", "--max-time", "5", *arguments, check=False)

    def curl_line(self) -> list[str]:
        """The command that the announcement says to try."""
        until(lambda: "Stop: Ctrl-C" in self.output, 20)
        found = re.search(r"Try: +(curl \S+)", self.output)
        assert found, self.output
        return found[1].split()[1:]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)


@contextmanager
def standalone(path: Path, *arguments: str, before: tuple[str, ...] = ()) -> Iterator[Demo]:
    with namespace("demo") as home:
        path.chmod(0o755)
        yield Demo(home, path / "output", *arguments, before=before)


def test_demo_as_root(tmp_path: Path) -> None:
    with namespace("demo") as home:
        before = home.state()
        demo = Demo(home, tmp_path / "output", "--demo")
        assert demo.curl_line() == ["http://10.96.163.26/"]
        answers = Counter(demo.curl("http://10.96.163.26/") for _ in range(12))
        assert answers == {f"Hello from my-pod-{n}\n": 4 for n in (1, 2, 3)}
        assert re.search(r"default +my-service +10\.96\.163\.26 +80/TCP +10\.96\.163\.26 ", demo.output)
        assert demo.stop() == 0
        assert home.state() == before
        assert "Traceback" not in demo.output


def test_demo_as_an_ordinary_user(tmp_path: Path) -> None:
    with standalone(tmp_path, "--demo", before=NOBODY) as demo:
        [url] = demo.curl_line()
        assert re.fullmatch(r"http://127\.\d+\.\d+\.\d+:8080/", url)
        assert Counter(demo.curl(url) for _ in range(9)) == {f"Hello from my-pod-{n}\n": 3 for n in (1, 2, 3)}
        assert "capture: loopback" in demo.output
        assert demo.stop() == 0


def test_manifests_and_changes_over_http(tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "web.yaml").write_text(WEB)
    with standalone(tmp_path, PLAIN, "--manifests", str(folder)) as demo:
        until(lambda: "web " in demo.output, 20)
        for address in ("127.0.9.1", "127.0.9.2"):
            demo.home.start(sys.executable, "-c", WHO, address)
        until(
            lambda: demo.curl("http://10.96.7.7/") == "from 127.0.9.1",
            10,
        )
        (folder / "web.yaml").write_text(WEB.replace("127.0.9.1", "127.0.9.2"))
        until(lambda: demo.curl("http://10.96.7.7/") == "from 127.0.9.2", 10)
        (folder / "bad.yaml").write_text("kind: Service\n  nonsense: [")
        until(lambda: "bad.yaml" in demo.output, 10)
        assert demo.curl("http://10.96.7.7/") == "from 127.0.9.2"
        patch = json.dumps({"endpoints": [{"addresses": ["127.0.9.1"]}]})
        path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/web-1"
        demo.curl("-X", "PATCH", "-H", "Content-Type: application/merge-patch+json", "-d", patch, API + path)
        until(lambda: demo.curl("http://10.96.7.7/") == "from 127.0.9.1", 5)
        (folder / "web.yaml").unlink()
        until(lambda: json.loads(demo.curl(API + "/api/v1/namespaces/default/services"))["items"] == [], 10)
        assert demo.stop() == 0


def test_the_agent_works_against_it_unchanged(tmp_path: Path) -> None:
    arguments = (
        "--demo",
        PLAIN,
        "--capture",
        "none",
        "--healthz-bind-address",
        "",
        "--metrics-bind-address",
        "",
    )
    with standalone(tmp_path, *arguments) as demo:
        until(lambda: "Stop: Ctrl-C" in demo.output, 20)
        with started(demo.home, API):
            # Each worker has a ring of its own: one of two takes six of these, and goes round twice.
            answers = {demo.curl("http://10.96.163.26/") for _ in range(12)}
            assert answers == {f"Hello from my-pod-{n}\n" for n in (1, 2, 3)}
        assert demo.stop() == 0


def test_the_first_answer_comes_soon(tmp_path: Path) -> None:
    """Not a measure of speed, but a start that takes ten seconds is broken."""
    began = time.monotonic()
    with standalone(tmp_path, "--demo") as demo:
        demo.curl_line()
        assert time.monotonic() - began < 10
        assert demo.stop() == 0
