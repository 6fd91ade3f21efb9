"""What the answers of an API server, and of a running agent, mean for userproxy.

Owns thresholds and words of these findings. `kube.questions` asks the API server, `admin.client` the agent.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from userproxy.core.findings import Finding, failed, ok, warning
from userproxy.core.status import StatusView

_SKEW_SECONDS = 30.0
_ROLE = "bind ClusterRole userproxy (deploy/) or system:node-proxier to the account in use"
_HOW_TO_REACH = 'give --kubeconfig FILE, as kubectl has it in "$KUBECONFIG", or --master URL'


class Permission(msgspec.Struct, frozen=True):
    """Whether we may do `verb` on `resource`; None: the server does not say."""

    verb: str
    resource: str
    allowed: bool | None
    needed: bool = True
    """without it something is missing only, such as Events that tell what is wrong with a Service"""


class ApiAnswers(msgspec.Struct, frozen=True):
    """All that an API server told. `failure` is why it told nothing; the rest is unset then."""

    failure: str = ""
    server: str = ""
    host: str = ""
    version: str = ""
    clock_skew: float | None = None
    """seconds that our clock is ahead; None: it sent no Date"""
    node: str = ""
    node_status: int = 0
    """HTTP status of the request for our Node"""
    cluster_ip: str = ""
    """of Service default/kubernetes, empty when unknown"""
    permissions: tuple[Permission, ...] = ()


def api_findings(answers: ApiAnswers) -> Iterator[Finding]:
    """Yield what is to be said about the API server; without an answer from it that alone."""
    if answers.failure:
        yield failed("api/reachable", answers.failure, _HOW_TO_REACH)
        return
    yield ok("api/reachable", f"{answers.server} runs {answers.version}")
    yield _permissions(answers)
    yield _node(answers)
    if answers.host and answers.host == answers.cluster_ip:
        yield warning(
            "api/address",
            f"{answers.host} is the ClusterIP of Service default/kubernetes",
            "this proxy would have to serve it before it can start: give --master an address of a control-plane node",
        )
    else:
        yield ok("api/address", f"{answers.host} is no ClusterIP")
    if answers.clock_skew is not None:
        yield _skew(answers.clock_skew)


def _permissions(answers: ApiAnswers) -> Finding:
    denied = [
        f"{one.verb} {one.resource}" for one in answers.permissions if one.allowed is False and one.needed
    ]
    missed = [
        f"{one.verb} {one.resource}" for one in answers.permissions if one.allowed is False and not one.needed
    ]
    unknown = [f"{one.verb} {one.resource}" for one in answers.permissions if one.allowed is None]
    if denied:
        return failed("api/allowed", f"not allowed: {', '.join(denied)}", _ROLE)
    if unknown:
        return warning(
            "api/allowed",
            f"the server does not say whether we may {', '.join(unknown)}",
            "it lacks SelfSubjectAccessReview; a server without authorization allows everything",
        )
    if missed:
        return warning("api/allowed", f"not allowed, but not needed either: {', '.join(missed)}", _ROLE)
    return ok("api/allowed", ", ".join(f"{one.verb} {one.resource}" for one in answers.permissions))


def _node(answers: ApiAnswers) -> Finding:
    if answers.node_status == 200:
        return ok("api/node", f"Node {answers.node} exists")
    if answers.node_status == 404:
        return warning(
            "api/node",
            f"there is no Node {answers.node}",
            "without it no endpoint is local and there is no zone: give --hostname-override the name "
            "that `kubectl get nodes` shows",
        )
    return warning(
        "api/node", f"Node {answers.node} cannot be read: the server answered {answers.node_status}", _ROLE
    )


def _skew(seconds: float) -> Finding:
    text = f"our clock is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} the API server's"
    if abs(seconds) > _SKEW_SECONDS:
        return warning(
            "api/clock", text, "set the clocks right: tokens and certificates are valid for a time only"
        )
    return ok("api/clock", "as the API server's")


def agent_findings(status: StatusView | None, failure: str, version: str) -> Iterator[Finding]:
    """Yield what is to be said about the running agent; `status` is None where none answers, because of `failure`."""
    if status is None:
        yield failed("agent/running", failure, "before an installation: userproxy check --pre")
        return
    yield ok("agent/running", f"since {status.started:%Y-%m-%d %H:%M:%S} UTC")
    theirs = status.versions.get("userproxy", "unknown")
    if theirs == version:
        yield ok("agent/version", theirs)
    else:
        text = f"the agent is {theirs}, this program is {version}"
        yield warning("agent/version", text, "restart the agent, or use the program of its version")
    yield _ready(status)
    yield _watches(status)
    yield _capture(status)
    yield _services(status)


def _ready(status: StatusView) -> Finding:
    if status.waiting_for:
        return failed("agent/ready", "; ".join(status.waiting_for), "its log says what it waits for")
    if not status.healthy:
        return failed(
            "agent/ready", "changes are not applied in time", "its log says why; /status has the details"
        )
    if not status.node_eligible:
        return warning(
            "agent/ready", "ready; the Node is leaving", "load balancers are told to send nothing here"
        )
    return ok("agent/ready", "ready and healthy")


def _watches(status: StatusView) -> Finding:
    broken = [
        f"{one.resource}: {one.last_error or 'connecting'}" for one in status.watches if not one.connected
    ]
    if broken:
        hint = "what was last known is served meanwhile; check the API server and the way to it"
        return warning("agent/watches", "; ".join(broken), hint)
    return ok("agent/watches", ", ".join(f"{one.resource} ({one.objects})" for one in status.watches))


def _capture(status: StatusView) -> Finding:
    capture = status.capture
    text = f"{capture.name} ({capture.detail})" if capture.detail else capture.name
    problems = "; ".join(status.warnings)
    if problems:
        return warning("agent/capture", f"{text}: {problems}", "its log has the moments")
    if capture.repairs:
        return warning(
            "agent/capture",
            f"{text}: another program changed its rules {capture.repairs} times",
            "find what flushes nftables or iptables rules (a firewall reload, another proxy)",
        )
    return ok("agent/capture", text)


def _services(status: StatusView) -> Finding:
    found = [
        line
        for one in status.services
        for line in (*one.warnings, *(w for p in one.ports for w in p.warnings))
    ]
    ports = sum(len(one.ports) for one in status.services)
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        return warning(
            "agent/services", f"{found[0]}{more}", "`userproxy explain svc/NAME` tells more about each"
        )
    return ok("agent/services", f"{len(status.services)} Services with {ports} ports")
