"""Network namespaces for tests: a node, its Pods, and the wires between them.

Owns creation and removal; what runs inside is the test's own business. Nothing here changes the namespace that the tests
were started in. A test uses it like this:

    pytestmark = [pytest.mark.netns, needs_netns]

    def test_something():
        with node_with_pods(numbered=False, default_route=False) as net:
            with net.node.entered():                 # this thread is now in the node's namespace
                listener = socket.create_server(("127.0.0.1", 0))
            with net.pod.entered():                  # a socket stays in the namespace that it was made in
                client = socket.create_connection(...)
            net.node.run("nft", "flush", "ruleset")  # run a program inside, get its standard output
            server = net.node.start(sys.executable, "-m", "userproxy", "run")  # ended with the namespace
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import itertools
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PREFIX = "upx-"
RUN_FOLDER = Path("/run/netns")
CLONE_NEWNET = 0x40000000
NODE_MAC = "ee:ee:ee:ee:ee:ee"
"""Of the node's ends, the same for all, as Calico does it."""

_numbers = itertools.count(1)
_alive: dict[str, Namespace] = {}
_libc = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """A network namespace with `lo` up and no IPv6 duplicate address detection. Made by `namespace()`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._processes: list[subprocess.Popen[str]] = []

    @property
    def path(self) -> Path:
        """The file that stands for the namespace."""
        return RUN_FOLDER / self.name

    def run(self, *command: str, stdin: str = "", check: bool = True, timeout: float = 30.0) -> str:
        """Run a program inside and return its standard output; with `check`, fail with its errors if it fails."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.name, *command],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)} in {self.name}: {done.stderr.strip()}")
        return done.stdout

    def start(self, *command: str, **options: object) -> subprocess.Popen[str]:
        """Start a program inside, with Popen's `options`; it is killed with the namespace if it still runs then."""
        process: subprocess.Popen[str] = subprocess.Popen(
            ["ip", "netns", "exec", self.name, *command],
            text=True,
            **options,  # type: ignore[call-overload]
        )
        self._processes.append(process)
        return process

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Move this thread into the namespace for a with block.

        Only for the main thread, so that /proc/net and child processes are of the namespace as well. With an `await` in
        the block, all other tasks of the loop run inside too.
        """
        assert threading.current_thread() is threading.main_thread()
        with Path("/proc/self/ns/net").open() as home, self.path.open() as inside:
            _set_namespace(inside.fileno())
            try:
                yield
            finally:
                _set_namespace(home.fileno())

    def set(self, setting: str, value: str) -> None:
        """Write a kernel setting of the namespace, for example set("net/ipv4/ip_forward", "1")."""
        with self.entered():
            Path("/proc/sys", setting).write_text(value)

    def state(self) -> dict[str, str]:
        """Return all that capture could leave behind, as text to compare."""
        return {
            "nft": self.run("nft", "list", "ruleset"),
            "addresses": self.run("ip", "-o", "addr"),
            "routes": self.run("ip", "route", "show", "table", "all"),
            "routes6": self.run("ip", "-6", "route", "show", "table", "all"),
            "rules": self.run("ip", "rule") + self.run("ip", "-6", "rule"),
        }

    def close(self) -> None:
        """End what was started inside and remove the namespace."""
        _alive.pop(self.name, None)
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait(10)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)


@dataclass
class Network:
    """A node and its Pods. Pod number i has `pod_address(i)`, behind the node's interface `pod<i>`."""

    node: Namespace
    pods: list[Namespace] = field(default_factory=list)
    outside: Namespace | None = None

    @property
    def pod(self) -> Namespace:
        """The first Pod."""
        return self.pods[0]


def pod_address(number: int, *, ipv6: bool = False) -> str:
    """Return the address of Pod `number` (the first is 0): 10.77.0.2 and fd77:1:100::2, 10.77.1.2 and fd77:1:101::2."""
    return f"{_network6(number)}::2" if ipv6 else f"10.77.{number}.2"


@contextmanager
def namespace(label: str = "ns") -> Iterator[Namespace]:
    """Make a namespace with `lo` up, and remove it at the end. Also right for a sidecar without a network."""
    created = Namespace(f"{PREFIX}{os.getpid()}-{next(_numbers)}-{label}")
    _ip("netns", "add", created.name)
    _alive[created.name] = created
    try:
        for scope in ("all", "default"):
            created.set(f"net/ipv6/conf/{scope}/accept_dad", "0")
        _batch(created, ["link set lo up"])
        yield created
    finally:
        created.close()


@contextmanager
def node_with_pods(
    *, pods: int = 1, numbered: bool = True, default_route: bool = True, outside: bool = False
) -> Iterator[Network]:
    """Make a node with Pods behind veth pairs; the node forwards between them.

    `numbered`: the node's ends have addresses, as with bridge-less CNI plugins; False is Calico's way: the node's ends have
    none, Pods have /32 addresses and a default route via 169.254.1.1 with a fixed neighbour entry.
    `default_route`: the node has an uplink with 172.30.77.2/24 and fd77:2::2/64 and default routes over it, where nobody
    answers; without, it has no route to anything but its Pods. `outside`: the other end of the uplink is a host of its own,
    with 172.30.77.1 and fd77:2::1 and default routes over the node.
    """
    with ExitStack() as stack:
        node = stack.enter_context(namespace("node"))
        node.set("net/ipv4/ip_forward", "1")
        node.set("net/ipv6/conf/all/forwarding", "1")
        if default_route:
            _add_uplink(node)
        network = Network(node)
        if outside:
            network.outside = stack.enter_context(namespace("outside"))
            _move_outside(node, network.outside)
        for number in range(pods):
            pod = stack.enter_context(namespace(f"pod{number}"))
            network.pods.append(pod)
            _connect(node, pod, number, numbered=numbered)
        yield network


def _connect(node: Namespace, pod: Namespace, number: int, *, numbered: bool) -> None:
    end = f"pod{number}"
    wire = [end, "netns", node.name, "address", NODE_MAC, "type", "veth", "peer", "name", "eth0"]
    _ip("link", "add", *wire, "netns", pod.name)
    four, six = pod_address(number), pod_address(number, ipv6=True)
    bits4, bits6 = (24, 64) if numbered else (32, 128)
    at_node = [f"addr add fe80::1/64 dev {end} nodad", f"link set {end} up"]
    at_pod = [
        "link set eth0 up",
        f"addr add {four}/{bits4} dev eth0",
        f"addr add {six}/{bits6} dev eth0 nodad",
        "route add default via fe80::1 dev eth0",
    ]
    if numbered:
        at_node.append(f"addr add 10.77.{number}.1/24 dev {end}")
        at_node.append(f"addr add {_network6(number)}::1/64 dev {end} nodad")
        at_pod.append(f"route add default via 10.77.{number}.1")
    else:
        at_node.append(f"route add {four} dev {end} scope link")
        at_node.append(f"route add {six} dev {end}")
        at_pod.append("route add 169.254.1.1 dev eth0 scope link")
        # Proxy ARP, which Calico uses, is silent on a node without a default route.
        at_pod.append(f"neigh add 169.254.1.1 lladdr {NODE_MAC} dev eth0")
        at_pod.append("route add default via 169.254.1.1 dev eth0")
    _batch(node, at_node)
    _batch(pod, at_pod)


def _network6(number: int) -> str:
    return f"fd77:1:{256 + number:x}"


def _add_uplink(node: Namespace) -> None:
    _batch(
        node,
        [
            "link add uplink0 type veth peer name outside0",
            "link set outside0 up",
            "link set uplink0 up",
            "addr add 172.30.77.2/24 dev uplink0",
            "addr add fd77:2::2/64 dev uplink0 nodad",
            "route add default via 172.30.77.1 dev uplink0",
            "route add default via fd77:2::1 dev uplink0",
        ],
    )


def _move_outside(node: Namespace, outside: Namespace) -> None:
    _batch(node, [f"link set outside0 netns {outside.name}"])
    _batch(
        outside,
        [
            "link set outside0 up",
            "addr add 172.30.77.1/24 dev outside0",
            "addr add fd77:2::1/64 dev outside0 nodad",
            "route add default via 172.30.77.2",
            "route add default via fd77:2::2",
        ],
    )


@functools.cache
def why_no_netns() -> str:
    """Return why this machine cannot make network namespaces, empty when it can."""
    if os.geteuid() != 0:
        return "needs root to make network namespaces"
    remove_dead()
    try:
        with namespace("trial") as trial, trial.entered():
            pass
    except FileNotFoundError:
        return "needs the program ip (package iproute2)"
    except (AssertionError, OSError) as error:
        return f"cannot make network namespaces here: {error}"
    return ""


def remove_dead() -> None:
    """Remove namespaces of test runs that were killed."""
    for path in RUN_FOLDER.glob(f"{PREFIX}*"):
        owner = path.name.removeprefix(PREFIX).split("-")[0]
        if owner.isdecimal() and not Path("/proc", owner).exists():
            subprocess.run(["ip", "netns", "del", path.name], check=False, capture_output=True)


def needs_programs(*names: str) -> pytest.MarkDecorator:
    """Return a mark that skips where one of the programs is not installed."""
    missing = [name for name in names if not _which(name)]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


def _which(name: str) -> bool:
    return any(Path(folder, name).exists() for folder in os.get_exec_path())


def _ip(*arguments: str, stdin: str = "") -> None:
    done = subprocess.run(["ip", *arguments], input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def _batch(inside: Namespace, commands: list[str]) -> None:
    _ip("-netns", inside.name, "-batch", "-", stdin="\n".join(commands))


def _set_namespace(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def _close_all() -> None:
    for created in list(_alive.values()):
        created.close()


atexit.register(_close_all)
needs_netns = pytest.mark.skipif(bool(why_no_netns()), reason=why_no_netns() or "-")
