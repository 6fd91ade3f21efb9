"""What facts about a host mean for userproxy: kernel, capabilities, limits, clock, other proxies.

Owns thresholds and words of the findings. The facts are texts and numbers as the kernel gives them; `check.host` reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from userproxy.core.findings import Finding, failed, ok, warning
from userproxy.model import Probe

CAPABILITIES = {"CAP_NET_BIND_SERVICE": 10, "CAP_NET_ADMIN": 12, "CAP_SYS_RESOURCE": 24}
"""Numbers of linux/capability.h."""

_CONSEQUENCES = {
    "CAP_NET_ADMIN": "only loopback capture works",
    "CAP_NET_BIND_SERVICE": "there are no listeners on ports below ip_unprivileged_port_start",
}
"""What lacking a capability means; CAP_SYS_RESOURCE is missed only where the descriptor limit is low."""

NODE_PORTS = (30000, 32767)
"""Default of the API server's --service-node-port-range."""

_NEEDED_KERNEL = (4, 5)
_TESTED_KERNEL = (5, 4)
_FEW_CONNECTIONS = 10_000
_SMALL_CONNTRACK = 131_072
"""What kube-proxy sets at least (conntrack.min)."""
_NEARLY_FULL = 0.8
_TIME_ERROR = 5
"""What adjtimex(2) returns while the clock is not synchronized."""


def version(userproxy: str, python: str) -> Finding:
    """Return the versions as a finding; the package does not install on a Python that is too old."""
    return ok("host/version", f"userproxy {userproxy}, Python {python}")


def kernel(system: str, release: str) -> Finding:
    """Judge what uname(2) says."""
    number = re.match(r"(\d+)\.(\d+)", release)
    if system != "Linux" or number is None:
        return failed("host/kernel", f"{system} {release}", "userproxy runs on Linux only")
    found = (int(number[1]), int(number[2]))
    if found < _NEEDED_KERNEL:
        return failed(
            "host/kernel",
            f"Linux {release}",
            "workers share listeners by EPOLLEXCLUSIVE: use Linux 4.5 or later",
        )
    if found < _TESTED_KERNEL:
        return warning("host/kernel", f"Linux {release}", "kernels before 5.4 are not tested")
    return ok("host/kernel", f"Linux {release}")


def capabilities(process_status: str) -> Finding:
    """Judge the effective capabilities in the text of /proc/self/status (proc(5), CapEff)."""
    line = re.search(r"^CapEff:\s*([0-9a-f]+)$", process_status, re.MULTILINE)
    mask = int(line[1], 16) if line else 0
    have = [name for name, bit in CAPABILITIES.items() if mask >> bit & 1]
    lack = [name for name in _CONSEQUENCES if name not in have]
    text = ", ".join(have) or "none"
    if not lack:
        return ok("host/capabilities", text)
    missing = "; ".join(f"without {name} {_CONSEQUENCES[name]}" for name in lack)
    return warning("host/capabilities", text, f"{missing}: run as root, or grant them")


def clock(state: int) -> Finding:
    """Judge what adjtimex(2) returned."""
    if state == _TIME_ERROR:
        return warning(
            "host/clock",
            "the system clock is not synchronized",
            "run chrony, systemd-timesyncd or ntpd; in a container or virtual machine the host may do it",
        )
    return ok("host/clock", "the system clock is synchronized")


def ports(taken: Mapping[str, str], *, agent_answers: bool, addresses: Sequence[str]) -> Finding:
    """Judge which of our own servers' `addresses` cannot be listened on; `taken` maps them to the reason."""
    if not addresses:
        return ok("host/ports", "no health or metrics server is asked for")
    listed = ", ".join(addresses)
    if not taken:
        return ok("host/ports", f"{listed}: free")
    reasons = "; ".join(f"{address}: {reason}" for address, reason in taken.items())
    if agent_answers:
        return ok("host/ports", f"{listed}: in use by the running agent")
    return failed(
        "host/ports",
        reasons,
        "`ss -ltnp` shows who listens there (kube-proxy uses the same ports): stop it, or give other addresses by "
        "--healthz-bind-address and --metrics-bind-address",
    )


def descriptors(hard: int, connections: int) -> Finding:
    """Judge the hard descriptor limit and the number of connections of one worker that fit under it."""
    text = f"hard limit {hard}: {connections} connections for each worker"
    if connections < _FEW_CONNECTIONS:
        return warning(
            "host/descriptors",
            text,
            "raise it: LimitNOFILE=1048576 (systemd), ulimit -Hn, or the runtime's ulimits",
        )
    return ok("host/descriptors", text)


def conntrack(used: int | None, most: int | None) -> Finding:
    """Judge nf_conntrack_count and nf_conntrack_max; None where the kernel has no such file."""
    if used is None or most is None:
        return ok("host/conntrack", "not in use yet")
    text = f"{used} of {most} entries in use"
    hint = "raise net.netfilter.nf_conntrack_max; --capture route uses no conntrack"
    if used > most * _NEARLY_FULL:
        return failed("host/conntrack", f"{text}: new connections are about to be dropped", hint)
    if most < _SMALL_CONNTRACK:
        return warning("host/conntrack", f"{text}; kube-proxy sets {_SMALL_CONNTRACK} at least", hint)
    return ok("host/conntrack", text)


def port_range(low: int, high: int, reserved: str) -> Finding:
    """Judge net.ipv4.ip_local_port_range; `reserved` is the text of ip_local_reserved_ports, such as `8080,30000-32767`."""
    first, last = NODE_PORTS
    kept = {number for piece in _ranges(reserved) for number in piece}
    open_ports = sum(number not in kept for number in range(max(low, first), min(high, last) + 1))
    text = f"outgoing connections use ports {low}-{high}"
    if open_ports:
        return warning(
            "host/port-range",
            f"{text}, {open_ports} of them are node ports",
            f"sysctl -w net.ipv4.ip_local_reserved_ports={first}-{last}, or begin the range at {last + 1}",
        )
    return ok("host/port-range", f"{text}, node ports {first}-{last} are kept")


def _ranges(text: str) -> Iterable[range]:
    for piece in re.findall(r"(\d+)(?:-(\d+))?", text):
        yield range(int(piece[0]), int(piece[1] or piece[0]) + 1)


def other_proxies(
    nft_tables: str, chains: str, interfaces: Iterable[str], unseen: Sequence[str] = ()
) -> Finding:
    """Judge `nft list tables`, the output of iptables-save, and the names of network interfaces.

    `unseen`: why some of it could not be read.
    """
    present = set(interfaces)
    found = []
    if re.search(r"^table \S+ kube-proxy$", nft_tables, re.MULTILINE):
        found.append("kube-proxy (nftables)")
    if re.search(r"^:KUBE-(SERVICES|NODEPORTS)\b", chains, re.MULTILINE):
        found.append("kube-proxy (iptables)")
    if "kube-ipvs0" in present:
        found.append("kube-proxy (IPVS)")
    if "cilium_host" in present or re.search(r"^:CILIUM_", chains, re.MULTILINE):
        found.append("Cilium")
    if found:
        return warning(
            "host/other-proxies",
            f"rules of {', '.join(found)} are present",
            "serve labelled Services only (--service-proxy-name), or remove the other proxy and its rules first",
        )
    if unseen:
        return _unseen("host/other-proxies", unseen)
    return ok("host/other-proxies", "no rules of kube-proxy or Cilium")


def _unseen(check: str, reasons: Sequence[str]) -> Finding:
    return warning(check, f"rules cannot be looked at: {reasons[0]}", "run the check as root")


def leftovers(ours: Sequence[str], *, agent_answers: bool, unseen: Sequence[str] = ()) -> Finding:
    """Judge the tables and chains of ours in the kernel; `unseen`: why some could not be read."""
    if ours and not agent_answers:
        return warning(
            "host/leftovers",
            f"{', '.join(ours)} without an agent that answers",
            "if no userproxy runs, remove them: userproxy cleanup",
        )
    if unseen and not ours:
        return _unseen("host/leftovers", unseen)
    return ok("host/leftovers", "the running agent's" if ours else "none")


def capture_findings(probes: Sequence[Probe], mode: str) -> list[Finding]:
    """Judge the answers of all probes, in order of preference, and what `--capture` `mode` makes of them."""
    allowed = [probe for probe in probes if mode in ("auto", _way(probe), _way(probe).partition("-")[0])]
    chosen = next((probe for probe in allowed if probe.usable), None)
    findings = []
    for probe in probes:
        name = f"capture/{_way(probe)}"
        if probe.usable:
            label = "" if probe.capture == _way(probe) else f"{probe.capture}: "
            findings.append(ok(name, label + probe.reason))
        elif chosen is None and probe in allowed:
            findings.append(
                failed(name, f"not usable: {probe.reason}", "cure this, or use another --capture")
            )
        else:
            instead = f"{chosen.capture} is used" if chosen else f"--capture {mode} does not need it"
            findings.append(warning(name, f"not usable: {probe.reason}", f"nothing need be done: {instead}"))
    if chosen is None and mode != "none":
        text = f"--capture {mode}: nothing that it allows is usable"
        findings.append(
            failed("capture/usable", text, "the reasons are above; --capture auto takes what works")
        )
    else:
        findings.append(
            ok("capture/usable", f"--capture {mode} takes {chosen.capture if chosen else 'none'}")
        )
    return findings


def _way(probe: Probe) -> str:
    """Return the value of --capture that a probe stands for; `redirect (iptables-nft)` names the variant found."""
    if "iptables" in probe.capture:
        return "redirect-iptables"
    return "redirect-nft" if probe.capture.startswith("redirect") else probe.capture
