"""The systemd units are right, hardened, and leave the proxy all that it needs.

systemd itself does not run here; what it would lay on the process is laid on by `container` and `unit_sandbox`: user,
capabilities, read-only system, system calls, address families, memory, credentials and the notification socket.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.container import MOUNTED, anyone_may_read, read_only_root, rights
from tests.deploy.rendered import DEPLOY
from tests.deploy.unit_sandbox import read_unit
from tests.e2e.agent import DRAIN, HEALTH_PORT, USERPROXY
from tests.e2e.child import ROOT
from tests.e2e.cluster import Cluster
from tests.netns import Namespace, namespace, needs_netns, needs_programs
from userproxy.config import settings_of
from userproxy.setting import flag

UNITS = {
    "run": DEPLOY / "systemd" / "userproxy.service",
    "standalone": DEPLOY / "systemd" / "userproxy-standalone.service",
}
PROGRAM = "/opt/userproxy/bin/userproxy"
MOST_EXPOSURE = 2.0

pytestmark = needs_programs("systemd-analyze")


@pytest.fixture(params=UNITS)
def command(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_systemd_finds_no_mistake(command: str, tmp_path: Path) -> None:
    unit = tmp_path / UNITS[command].name
    unit.write_text(UNITS[command].read_text().replace(PROGRAM, sys.executable))
    check = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(check, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_little_is_exposed(command: str) -> None:
    limit = f"--threshold={MOST_EXPOSURE * 10:.0f}"
    check = ["systemd-analyze", "security", "--offline=yes", "--no-pager", limit, str(UNITS[command])]
    done = subprocess.run(check, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_arguments_are_flags_of_the_command(command: str) -> None:
    program, subcommand, *words = read_unit(UNITS[command])["ExecStart"].split()
    assert (program, subcommand) == (PROGRAM, command)
    known = {flag(field.name) for field in settings_of(command)}
    assert {word.partition("=")[0] for word in words} <= known


def test_systemd_ends_it_later_than_it_ends_itself(command: str) -> None:
    unit = read_unit(UNITS[command])
    (drain,) = [field.default for field in settings_of(command) if field.name == "drain_timeout"]
    assert float(unit["TimeoutStopSec"]) > 2 * drain
    assert unit["KillMode"] == "mixed"


class Service:
    """A unit's process in a namespace, and what it tells systemd."""

    def __init__(self, home: Namespace, command: str, folder: Path, *more: str) -> None:
        unit = read_unit(UNITS[command])
        environment = {
            "HOME": "/",
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "NOTIFY_SOCKET": f"{MOUNTED}/notify",
            "WATCHDOG_USEC": str(int(unit["WatchdogSec"]) * 1_000_000),
            "CREDENTIALS_DIRECTORY": MOUNTED,
            "STATE_DIRECTORY": f"{MOUNTED}/state",
            "TMPDIR": f"{MOUNTED}/tmp",  # for PrivateTmp: the loader of kubeconfigs writes certificates to files
        }
        (folder / "tmp").mkdir(mode=0o777)
        (folder / "tmp").chmod(0o777)
        self.systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.systemd.bind(str(folder / "notify"))
        self.systemd.settimeout(30)
        (folder / "notify").chmod(0o666)
        program, *words = unit["ExecStart"].split()
        assert program == PROGRAM
        words = [word.replace("/etc/userproxy", MOUNTED) for word in words]
        words = [re.sub(r"\$\{(\w+)\}", lambda found: environment[found[1]], word) for word in words]
        assert unit["AmbientCapabilities"] == unit["CapabilityBoundingSet"]
        kept = unit["AmbientCapabilities"].replace("CAP_", "").split()
        sandbox = (sys.executable, "-m", "tests.deploy.unit_sandbox", str(UNITS[command]))
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = home.start(
                *read_only_root(folder),
                *rights(65534 if anyone_may_read(ROOT) else 0, kept, ambient=True),
                *(*sandbox, *USERPROXY, *words, *DRAIN, *more),
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def told(self, line: str) -> str:
        """Return the first datagram with `line` in it."""
        while True:
            text = self.systemd.recv(4096).decode()
            if line in text.split("\n"):
                return text

    def restrictions(self) -> dict[str, str]:
        """Return what the kernel says that the process may not do; capability 10 is NET_BIND_SERVICE, 12 NET_ADMIN."""
        status = Path("/proc", str(self.process.pid), "status").read_text()
        fields = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
        return {name: fields[name] for name in ("CapEff", "NoNewPrivs", "Seccomp")}

    def close(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self.systemd.close()
        print(self.log.read_text())


@pytest.fixture
def home() -> Iterator[Namespace]:
    with namespace("unit") as made:
        yield made


def kubeconfig(url: str) -> str:
    return json.dumps(
        {
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
    )


@needs_netns
@pytest.mark.netns
@needs_programs("nft", "setpriv", "unshare", "curl")
def test_run_works_under_all_that_its_unit_forbids(home: Namespace, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with contextlib.closing(Cluster(home)) as cluster:
        (tmp_path / "kubeconfig").write_text(kubeconfig(cluster.url))
        cluster.put_service("web", "10.96.7.7")
        with contextlib.closing(Service(home, "run", tmp_path, "--capture", "redirect")) as service:
            assert "STATUS=ready: capture redirect" in service.told("READY=1")
            assert service.restrictions() == {"CapEff": "0000000000001400", "NoNewPrivs": "1", "Seccomp": "2"}
            health = home.run("curl", "--silent", f"http://127.0.0.1:{HEALTH_PORT}/readyz")
            assert health == "ok"
            assert "1 Service ports" in service.log.read_text()
            service.process.terminate()
            service.told("STOPPING=1")
            assert service.process.wait(15) == 0
            assert "Traceback" not in service.log.read_text()


@needs_netns
@pytest.mark.netns
@needs_programs("setpriv", "unshare", "kubectl")
def test_standalone_works_under_all_that_its_unit_forbids(home: Namespace, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for name in ("state", "manifests"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o777)
    (tmp_path / "manifests" / "web.yaml").write_text(
        "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: 10.96.7.7, ports: [{port: 80}]}}"
    )
    with contextlib.closing(Service(home, "standalone", tmp_path, "--capture", "route")) as service:
        assert "STATUS=ready: capture route" in service.told("READY=1")
        kubectl = (
            "kubectl",
            f"--kubeconfig={tmp_path}/state/kubeconfig",
            "get",
            "service",
            "web",
            "--output=name",
        )
        assert home.run(*kubectl) == "service/web\n"
        service.process.terminate()
        service.told("STOPPING=1")
        assert service.process.wait(15) == 0
        assert "Traceback" not in service.log.read_text()
