"""`userproxy standalone` with a data directory, a token and HTTPS: what is kept, and that its own proxy gets through."""

from __future__ import annotations

import json
import re
import shutil
import stat
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.test_standalone import API, PLAIN, Demo, standalone
from tests.e2e.waiting import until
from tests.netns import namespace, needs_netns, needs_programs

pytestmark = [pytest.mark.netns, needs_netns, needs_programs("nft", "curl")]

SERVICE = {
    "metadata": {"name": "web"},
    "spec": {"clusterIP": "10.96.7.7", "ports": [{"port": 80, "targetPort": 8001}]},
}
SLICE = {
    "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
    "addressType": "IPv4",
    "ports": [{"port": 8001}],
    "endpoints": [{"addresses": ["127.0.0.1"]}],
}


def post(demo: Demo, path: str, body: object) -> None:
    answer = demo.curl("-H", "Content-Type: application/json", "-d", json.dumps(body), API + path)
    assert json.loads(answer)["metadata"]["uid"], answer


def test_a_killed_one_goes_on_where_it_was(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with namespace("demo") as home:
        first = Demo(home, tmp_path / "first", PLAIN, "--data-dir", str(data), "--capture", "redirect")
        until(lambda: "Stop: Ctrl-C" in first.output, 20)
        assert f"export KUBECONFIG={data / 'kubeconfig'}" in first.output
        assert stat.S_IMODE((data / "kubeconfig").stat().st_mode) == 0o600
        post(first, "/api/v1/namespaces/default/services", SERVICE)
        post(first, "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", SLICE)
        # the API server itself stands for the Pod
        until(lambda: first.curl("-H", "Host: localhost", "http://10.96.7.7/healthz") == "ok", 5)
        second = Demo(home, tmp_path / "second", "--data-dir", str(data), "--api-bind-address", "127.0.0.1:0")
        assert second.process.wait(20) == 1
        assert second.output.startswith("userproxy: data directory ")
        assert f"is in use by process {first.process.pid}" in second.output
        assert second.output.count("\n") == 1
        first.process.kill()
        first.process.wait()
        third = Demo(home, tmp_path / "third", PLAIN, "--data-dir", str(data), "--capture", "redirect")
        until(lambda: "Stop: Ctrl-C" in third.output, 20)
        assert re.search(r"default +web +10\.96\.7\.7 +80/TCP", third.output)
        until(lambda: third.curl("-H", "Host: localhost", "http://10.96.7.7/healthz") == "ok", 5)
        assert third.stop() == 0
        assert "Traceback" not in first.output + third.output


KUBECTL = shutil.which("kubectl")


@pytest.mark.parametrize("options", [(), (PLAIN, "--api-token", "required")])
def test_nobody_else_has_the_token(tmp_path: Path, options: tuple[str, ...]) -> None:
    with standalone(tmp_path, "--demo", *options) as demo:
        demo.curl_line()
        until(lambda: demo.curl("http://10.96.163.26/") != "", 10)
        assert set(Counter(demo.curl("http://10.96.163.26/") for _ in range(6)).values()) == {2}
        url = re.findall(r"API server: (\S+)", demo.output)[0]
        refused = json.loads(demo.curl("--insecure", url + "/api/v1/services"))
        assert (refused["code"], refused["reason"]) == (403, "Forbidden")
        assert demo.curl("--insecure", url + "/healthz") == "ok"
        kubeconfig = Path(re.findall(r"export KUBECONFIG=(\S+)", demo.output)[0])
        assert stat.S_IMODE(kubeconfig.stat().st_mode) == 0o600
        if KUBECTL and not options:
            [add] = re.findall(r"Add: +(.*)", demo.output)
            export = f"export HOME={tmp_path} KUBECONFIG={kubeconfig}"
            said = demo.home.run("sh", "-c", f"{export}; kubectl get services; {add}")
            assert re.search(r"my-service +ClusterIP +10.96.163.26 .*\nservice/web created\n$", said)
        assert demo.stop() == 0
        assert not kubeconfig.parent.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--data-dir", "/proc/nothing"), 1, "cannot be created"),
        (("--data-dir", "FILE"), 1, "is not a directory"),
        (("--data-dir", "FOREIGN"), 1, "is damaged: file is not a database; move it away"),
        (("--data-dir", "x", "--demo"), 2, "leave out --demo or --data-dir"),
        (("--api-bind-address", "unix:x"), 2, "give unix:/path"),
    ],
)
def test_bad_places_are_one_line(tmp_path: Path, arguments: tuple[str, ...], code: int, says: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "store.sqlite3").write_text("no database at all" * 100)
    given = [
        each.replace("FILE", str(tmp_path / "file")).replace("FOREIGN", str(tmp_path / "foreign"))
        for each in arguments
    ]
    with namespace("demo") as home:
        demo = Demo(home, tmp_path / "output", "--capture", "none", *given)
        assert demo.process.wait(20) == code
    lines = [line for line in demo.output.splitlines() if " INFO " not in line]
    assert len(lines) == 1, demo.output
    assert lines[0].startswith("userproxy: ")
    assert says in lines[0]
