"""Facts of this host: what the kernel says about itself, its limits, its clock, its rules and its ports.

Owns the places where they are read. Judges nothing (`core.host_checks`).
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import socket
from pathlib import Path

import userproxy
from userproxy.capture.commands import ProgramMissing, run
from userproxy.capture.iptables_program import find_programs
from userproxy.core import host_checks
from userproxy.core.addresses import HEALTHZ_PORT, METRICS_PORT, BindAddress, parse_bind_address
from userproxy.core.findings import Finding
from userproxy.core.redirect import CHAIN, TABLE
from userproxy.dataplane.limits import connections_under
from userproxy.dataplane.ports import local_port_range
from userproxy.errors import CaptureError
from userproxy.model import Family

_PROC = Path("/proc")


def plain_findings() -> list[Finding]:
    """Return the findings that are read from files and system calls in no time."""
    about = os.uname()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low, high = local_port_range()
    return [
        host_checks.version(userproxy.__version__, platform.python_version()),
        host_checks.kernel(about.sysname, about.release),
        host_checks.capabilities(_text("self/status")),
        host_checks.clock(_clock_state()),
        host_checks.descriptors(hard, connections_under(hard)),
        host_checks.conntrack(
            _number("sys/net/netfilter/nf_conntrack_count"), _number("sys/net/netfilter/nf_conntrack_max")
        ),
        host_checks.port_range(low, high, _text("sys/net/ipv4/ip_local_reserved_ports")),
    ]


def port_findings(healthz: str, metrics: str, *, agent_answers: bool) -> Finding:
    """Return whether the admin servers could listen. Raises UsageError for unusable addresses."""
    wanted = [
        parse_bind_address(healthz, HEALTHZ_PORT, "--healthz-bind-address"),
        parse_bind_address(metrics, METRICS_PORT, "--metrics-bind-address"),
    ]
    present = [one for one in wanted if one is not None]
    reasons = {str(one): reason for one in present if (reason := _why_taken(one))}
    return host_checks.ports(reasons, agent_answers=agent_answers, addresses=[str(one) for one in present])


async def rule_findings(*, agent_answers: bool) -> list[Finding]:
    """Return what other proxies, and we ourselves, have in the kernel. Reads only."""
    unseen: list[str] = []
    tables = await _tables(unseen)
    chains = await _chains(unseen)
    ours = [line for line in tables.splitlines() if line.split()[2:] == [TABLE]]
    if f"\n:{CHAIN} " in f"\n{chains}":
        ours.append(f"iptables chain {CHAIN}")
    return [
        host_checks.other_proxies(tables, chains, _interfaces(), unseen),
        host_checks.leftovers(ours, agent_answers=agent_answers, unseen=unseen),
    ]


def _why_taken(address: BindAddress) -> str:
    family = socket.AF_INET6 if address.family is Family.IPV6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((address.host, address.port))
            trial.listen(1)
    except OSError as error:
        return os.strerror(error.errno or 0)
    return ""


async def _tables(unseen: list[str]) -> str:
    """Return what nft lists; adds to `unseen` why it does not."""
    try:
        return await run(["nft", "list", "tables"])
    except ProgramMissing:  # then iptables, if anything, shows what there is
        return ""
    except CaptureError as error:
        unseen.append(str(error))
        return ""


async def _chains(unseen: list[str]) -> str:
    """Return every nat table of iptables as text; a table that is not loaded is not loaded for this."""
    try:
        programs = await find_programs()
    except CaptureError:
        return ""
    found = ""
    for program in programs:
        for family in Family:
            if program.is_loaded(family):
                try:
                    found += await program.save(family)
                except ProgramMissing:  # iptables without ip6tables
                    continue
                except CaptureError as error:
                    if "rules written with nft" not in str(error):
                        unseen.append(str(error))
    return found


def _interfaces() -> list[str]:
    # /sys shows the namespace it was mounted in, /proc/net/dev that of this process.
    return [line.partition(":")[0].strip() for line in _text("net/dev").splitlines()[2:]]


def _clock_state() -> int:
    """Return what adjtimex(2) returns when it changes nothing (modes 0); struct timex has less than 256 bytes."""
    return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(256)))


def _text(path: str) -> str:
    try:
        return (_PROC / path).read_text()
    except OSError:
        return ""


def _number(path: str) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None
