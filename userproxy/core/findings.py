"""What `userproxy check` can look at, what it found, and how that is shown.

Owns the list of checks with their documentation, the selection by --only and --skip, and the text and JSON of findings. What a
fact of the host means is decided in `core.host_checks`, of the API server and the agent in `core.cluster_checks`; facts are
gathered by `check`.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Iterator, Sequence

import msgspec

from userproxy.errors import UsageError

PAGE = "deploy/reference.md"


class Outcome(enum.Enum):
    """How a check ended; only FAILED makes the whole fail."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


SIGNS = {Outcome.OK: "√", Outcome.WARNING: "‼", Outcome.FAILED: "×"}
_COLOURS = {Outcome.OK: "32", Outcome.WARNING: "33", Outcome.FAILED: "31"}

CHECKS: dict[str, str] = {
    "host/version": "userproxy and the Python it runs on",
    "host/kernel": "Linux 4.5 or later (EPOLLEXCLUSIVE); older than 5.4 is not tested",
    "host/capabilities": "CAP_NET_ADMIN for redirect and route, CAP_NET_BIND_SERVICE for ports below 1024, "
    "CAP_SYS_RESOURCE to raise the descriptor limit; loopback capture needs none",
    "host/clock": "the system clock is synchronized (adjtimex(2)); certificates and tokens depend on it",
    "host/ports": "the health and metrics addresses are free, or this agent's own",
    "host/descriptors": "the hard descriptor limit; a connection takes two. systemd: LimitNOFILE, container runtimes: ulimits",
    "host/conntrack": "room in the conntrack table; redirect takes one entry for each client connection. "
    "sysctl net.netfilter.nf_conntrack_max",
    "host/port-range": "net.ipv4.ip_local_port_range leaves the node ports 30000-32767 alone, or "
    "net.ipv4.ip_local_reserved_ports keeps them: else an outgoing connection can take the number of a node port",
    "host/other-proxies": "rules of kube-proxy (nftables, iptables, IPVS) or Cilium on this host. Beside kube-proxy serve only "
    "Services labelled service.kubernetes.io/service-proxy-name (--service-proxy-name); instead of it, remove it first",
    "host/leftovers": "rules of ours without a running agent: a killed userproxy left them, `userproxy cleanup` removes them",
    "capture/redirect-nft": "a redirect by nftables, tried with a test connection and undone",
    "capture/redirect-iptables": "the same by iptables",
    "capture/route": "a local route, tried with a test connection and undone",
    "capture/loopback": "a listener on an address of 127.0.0.0/8",
    "capture/usable": "the way of capture that --capture asks for can be had; auto takes the first that works",
    "api/reachable": "the API server answers with the kubeconfig, --master or the Pod's service account",
    "api/allowed": "each list and watch the agent makes is allowed (SelfSubjectAccessReview)",
    "api/node": "the Node of this host exists; its name is the host name in lower case, or --hostname-override",
    "api/address": "the API server's address is not a ClusterIP that this proxy would have to serve first",
    "api/clock": "this host's clock and the API server's differ by less than 30 s",
    "agent/running": "an agent answers at --agent (its --metrics-bind-address)",
    "agent/version": "that agent is of the version of this program",
    "agent/ready": "it has listed everything, listens, and applies changes in time",
    "agent/watches": "its watches are connected",
    "agent/capture": "the capture it uses, and whether other programs keep removing its rules",
    "agent/services": "it serves every Service port: listeners open, addresses its own, annotations understood",
}
"""Every check in the order in which they run: `category/name` and what it is about."""


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """The end of one check: one line of text, and where it is not OK what to do."""

    check: str
    outcome: Outcome
    text: str
    hint: str = ""

    @property
    def category(self) -> str:
        """The group it belongs to."""
        return self.check.partition("/")[0]


class FindingView(msgspec.Struct, frozen=True):
    """A finding in JSON."""

    name: str
    category: str
    outcome: Outcome
    text: str
    hint: str
    documentation: str


class CheckReport(msgspec.Struct, frozen=True):
    """The whole answer in JSON."""

    passed: bool
    checks: tuple[FindingView, ...]


def ok(check: str, text: str) -> Finding:
    """Return a finding that needs nothing done."""
    return Finding(check, Outcome.OK, text)


def warning(check: str, text: str, hint: str) -> Finding:
    """Return a finding that a person should know of."""
    return Finding(check, Outcome.WARNING, text, hint)


def failed(check: str, text: str, hint: str) -> Finding:
    """Return a finding without whose cure userproxy does not work."""
    return Finding(check, Outcome.FAILED, text, hint)


def selection(only: Iterable[str], skip: Iterable[str], *, pre: bool) -> frozenset[str]:
    """Return the names of the checks to run; `only` and `skip` hold names and categories.

    `pre` leaves out what needs an API server or an agent. Raises UsageError for what is neither name nor category.
    """
    wanted = _named("--only", only) or frozenset(CHECKS)
    if pre:
        wanted = frozenset(name for name in wanted if name.startswith(("host/", "capture/")))
    found = wanted - _named("--skip", skip)
    if not found:
        raise UsageError(
            "no check is left to run; `userproxy check` without --only, --skip and --pre runs all"
        )
    return found


def _named(flag: str, words: Iterable[str]) -> frozenset[str]:
    found: set[str] = set()
    for word in words:
        names = {name for name in CHECKS if name == word or name.startswith(word + "/")}
        if not names:
            categories = ", ".join(dict.fromkeys(name.partition("/")[0] for name in CHECKS))
            raise UsageError(
                f"{flag}: there is no check {word!r}; use a category ({categories}) or a name such as host/kernel"
            )
        found |= names
    return frozenset(found)


def passed(findings: Iterable[Finding]) -> bool:
    """Return whether nothing failed; warnings do not count."""
    return all(finding.outcome is not Outcome.FAILED for finding in findings)


def in_order(findings: Collection[Finding]) -> list[Finding]:
    """Return findings in the order of CHECKS."""
    place = {name: number for number, name in enumerate(CHECKS)}
    return sorted(findings, key=lambda finding: place[finding.check])


def report(findings: Sequence[Finding]) -> CheckReport:
    """Return what `-o json` shows."""
    views = tuple(
        FindingView(one.check, one.category, one.outcome, one.text, one.hint, documentation(one.check))
        for one in findings
    )
    return CheckReport(passed(findings), views)


def report_lines(findings: Sequence[Finding], *, colour: bool) -> Iterator[str]:
    """Yield the lines for a person, grouped by category as they come."""
    category = ""
    for finding in findings:
        if finding.category != category:
            if category:
                yield ""
            category = finding.category
            yield category
            yield "-" * len(category)
        name = finding.check.partition("/")[2]
        yield f"{_sign(finding.outcome, colour=colour)} {name}: {finding.text}"
        if finding.hint:
            yield f"    {finding.hint}"
            yield f"    see {documentation(finding.check)}"
    yield ""
    worst = Outcome.OK if passed(findings) else Outcome.FAILED
    warnings = sum(finding.outcome is Outcome.WARNING for finding in findings)
    failures = sum(finding.outcome is Outcome.FAILED for finding in findings)
    counts = [f"{warnings} warnings"] * bool(warnings) + [f"{failures} failed"] * bool(failures)
    yield f"{len(findings)} checks: {', '.join(counts) or 'all ok'} {_sign(worst, colour=colour)}"


def anchor(check: str) -> str:
    """Return the anchor of a check in the reference page."""
    return "check-" + check.replace("/", "-")


def documentation(check: str) -> str:
    """Return where a check is documented."""
    return f"{PAGE}#{anchor(check)}"


def _sign(outcome: Outcome, *, colour: bool) -> str:
    sign = SIGNS[outcome]
    return f"\x1b[{_COLOURS[outcome]}m{sign}\x1b[0m" if colour else sign
