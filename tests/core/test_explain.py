"""Explanations of real tables and plans: each reason for in and out, each outcome, and what to do where nothing is found."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tests.build import endpoint_slice, key, name, service, services, serving_of, slices
from userproxy.api_objects import EndpointSlice, Service, ServiceSpecPort
from userproxy.core.counters import PortCounters
from userproxy.core.events import ConnectionEvent, change_event
from userproxy.core.explain import World, explain
from userproxy.core.explanation import Explanation, WorkerTurns, explanation_lines
from userproxy.core.plan import PlanSettings, Running, plan
from userproxy.core.policy import Route, Verdict
from userproxy.core.reasons import capture_text, outcome, policy_text, recent_failures, setting_lines
from userproxy.core.table import ServiceTable
from userproxy.core.target import parse_target
from userproxy.model import (
    Balance,
    Endpoint,
    Exposure,
    Family,
    Frontend,
    FrontendKind,
    Host,
    NoEndpoints,
    PortOptions,
    Scope,
    ServicePort,
)

HOST = Host("n1", "a", ("10.1.0.5",), ("127.0.0.1", "10.1.0.5"))
OUTSIDE = "203.0.113.9"


def world(
    objects: Iterable[Service],
    pieces: Iterable[EndpointSlice] = (),
    host: Host = HOST,
    capture: str = "redirect",
    **plans: Any,
) -> World:
    """Plan everything and pretend that each listener got a port from 40000 on."""
    table, running = ServiceTable(), Running()
    table.apply(services(*objects))
    table.apply(slices(*pieces))
    chosen = {"no_endpoints": NoEndpoints.DROP, "pod_networks": ("10.244.0.0/16",), **plans}
    step = plan(running, table.take(), PlanSettings(capture, "169.254.77.1", "", **chosen), host)
    running.record(step)
    bound = {one: (one.address, one.port or 40000 + n) for n, one in enumerate(sorted(step.open))}
    shown = "redirect (nft)" if capture == "redirect" else capture
    return World(table, running, host, bound, {}, shown)


def told(of: World, target: str, source: str = "") -> Explanation:
    explanation, keys = explain(parse_target(target), source, of)
    assert len(keys) == len(explanation.ports)
    return explanation


READY = endpoint_slice("web-1", "web", "10.244.0.1", "10.244.0.2")


def test_a_carried_service_by_address_and_by_name() -> None:
    here = world([service("web")], [READY])
    for target in ("10.96.0.10:80", "svc/web", "default/web:80", "10.96.0.10", "169.254.77.1:40000"):
        explanation = told(here, target)
        assert explanation.answer == "carried by Service port default/web: to one of 2 endpoints"
        assert [one.why for one in explanation.ports[0].endpoints] == ["ready", "ready"]
    text = "\n".join(explanation_lines(told(here, "10.96.0.10:80", OUTSIDE)))
    assert "for a client at 203.0.113.9" in text
    assert "table userproxy, element 10.96.0.10 . tcp . 80 : 169.254.77.1 . 40000" in text
    assert "    √ 10.244.0.1:8080: ready" in text


def test_each_endpoint_says_why_it_is_in_or_out() -> None:
    mixed = endpoint_slice(
        "web-1",
        "web",
        "10.244.0.1",
        Endpoint("10.244.0.2", ready=False, serving=False),
        Endpoint("10.244.0.3", ready=False, serving=True, terminating=True),
        Endpoint("10.244.0.4", ready=False, serving=False, terminating=True),
    )
    (port,) = told(world([service("web")], [mixed]), "svc/web").ports
    assert [(one.used, one.why) for one in port.endpoints] == [
        (True, "ready"),
        (False, "not ready"),
        (False, "terminating, still serving, ready endpoints are preferred"),
        (False, "terminating, no longer serving"),
    ]


def test_terminating_endpoints_are_in_while_none_is_ready() -> None:
    last = endpoint_slice("web-1", "web", Endpoint("10.244.0.3", ready=False, serving=True, terminating=True))
    (port,) = told(world([service("web")], [last]), "svc/web").ports
    assert port.endpoints[0].why == "terminating, still serving, and none is ready"


@pytest.mark.parametrize(
    ("host", "hints", "says", "why"),
    [
        (HOST, {"zones": ("a",)}, "endpoints meant for zone a only", "ready, but hints keep it for b"),
        (HOST, {"nodes": ("n1",)}, "endpoints meant for node n1 only", "ready, but hints keep it for n2"),
        (Host(), {"zones": ("a",)}, "ignored: some ready endpoint has none", "ready"),
    ],
)
def test_hints_say_which_endpoints_are_meant(host: Host, hints: dict, says: str, why: str) -> None:
    other = {kind: ("b",) if kind == "zones" else ("n2",) for kind in hints}
    near, far = Endpoint("10.244.0.1", **hints), Endpoint("10.244.0.2", **other)
    (port,) = told(world([service("web")], [endpoint_slice("w", "web", near, far)], host), "svc/web").ports
    assert port.hints.startswith(says)
    assert port.endpoints[1].why == why


EXTERNAL = Service(
    "default",
    "web",
    ("10.96.0.10",),
    (ServiceSpecPort("", "TCP", 80, 30080),),
    external_ips=("192.0.2.1",),
    load_balancer_ips=("198.51.100.1",),
    source_ranges=("203.0.113.0/24",),
    external_local=True,
)
ELSEWHERE = Endpoint("10.244.0.1", node="n2")
ON_NODE = Endpoint("10.244.0.2", node="n1")


@pytest.mark.parametrize(
    ("endpoints", "target", "source", "what", "why"),
    [
        ([ELSEWHERE, ON_NODE], "192.0.2.1:80", OUTSIDE, "carried", "to one of 1 endpoint on this node"),
        ([ELSEWHERE, ON_NODE], "192.0.2.1:80", "10.244.9.9", "carried", "10.244.9.9 is this host or a Pod"),
        ([ELSEWHERE, ON_NODE], "192.0.2.1:80", "", "carried", "this host and its Pods: one of 2 endpoints"),
        ([ELSEWHERE], "192.0.2.1:80", OUTSIDE, "dropped", f"{OUTSIDE} is not in (10.1.0.5/32"),
        ([ELSEWHERE], "192.0.2.1:80", "", "depends", "all others are dropped (try --from IP)"),
        ([ELSEWHERE, ON_NODE], "198.51.100.1:80", "192.0.2.99", "dropped", "is not in (203.0.113.0/24)"),
        ([ELSEWHERE, ON_NODE], "198.51.100.1:80", OUTSIDE, "carried", "on this node"),
        ([ELSEWHERE, ON_NODE], "10.1.0.5:30080", OUTSIDE, "carried", "on this node"),
    ],
)
def test_external_policy_local_depends_on_the_client(
    endpoints: list[Endpoint], target: str, source: str, what: str, why: str
) -> None:
    here = world([EXTERNAL], [endpoint_slice("w", "web", *endpoints)])
    explanation = told(here, target, source)
    (way,) = explanation.ports[0].ways
    assert (way.outcome, way.local) == (what, True)
    assert why in way.why
    assert explanation.answer.startswith(what)
    place = [one.why for one in explanation.ports[0].endpoints]
    assert place[0] == "ready, not on this node (n1): not for policy Local"
    assert place[1:] in ([], ["ready, on this node"])


def test_a_service_with_several_addresses_lists_the_ways() -> None:
    explanation = told(world([EXTERNAL], [endpoint_slice("w", "web", ELSEWHERE)]), "svc/web", OUTSIDE)
    assert explanation.answer == "Service port default/web: by address carried, dropped"
    ways = explanation.ports[0].ways
    assert [way.policy for way in ways] == [
        "internalTrafficPolicy Cluster",
        "externalTrafficPolicy Local",
        "externalTrafficPolicy Local, loadBalancerSourceRanges 203.0.113.0/24",
    ]
    assert "listener on the node's own address 10.1.0.5:30080" in "\n".join(explanation_lines(explanation))
    assert explanation.ports[0].advice == (
        "ready endpoints exist, but a traffic policy or source range keeps this traffic from them (see above)",
    )


def test_internal_policy_local_without_a_local_endpoint() -> None:
    local = msgspec.structs.replace(service("web"), internal_local=True)
    explanation = told(world([local], [endpoint_slice("w", "web", ELSEWHERE)]), "svc/web")
    assert explanation.answer.startswith(
        "dropped by Service port default/web: no usable endpoint is on this node (n1)"
    )
    assert told(world([local], [endpoint_slice("w", "web", ON_NODE)]), "svc/web").answer.endswith(
        "on this node"
    )


NOT_READY = endpoint_slice("w", "web", Endpoint("10.244.0.1", ready=False, serving=False))


@pytest.mark.parametrize(
    ("pieces", "chosen", "what", "advice"),
    [
        ([], NoEndpoints.DROP, "dropped", "no endpoint is known: does the selector match a Pod?"),
        (
            [NOT_READY],
            NoEndpoints.REJECT,
            "refused",
            "no endpoint is ready: look at the Pods' readiness probes",
        ),
    ],
)
def test_no_usable_endpoint_says_what_to_look_at(
    pieces: list[EndpointSlice], chosen: NoEndpoints, what: str, advice: str
) -> None:
    explanation = told(world([service("web")], pieces, no_endpoints=chosen), "10.96.0.10:80")
    assert explanation.answer.startswith(f"{what} by Service port default/web: no endpoint is usable")
    assert explanation.ports[0].advice[0].startswith(advice)


def test_a_listener_that_is_not_open_and_a_bad_annotation_are_told() -> None:
    here = world([service("web", no_endpoints="maybe")], [READY])
    closed = World(here.table, here.running, here.host, {}, {}, here.capture)
    (port,) = told(closed, "svc/web").ports
    assert port.ways[0].frontends[0].capture == "no listener is open, so connections are refused"
    assert any("annotation" in line for line in port.advice)
    assert port.advice[-1] == "the listener on 169.254.77.1:0 is not open; the log says why"


def test_a_frontend_of_somebody_else_is_told() -> None:
    here = world([service("a"), service("b")], [endpoint_slice("b", "b", "10.244.0.1")])
    (port,) = told(here, "svc/b").ports
    assert (
        "10.96.0.10:80 belongs to Service port default/a; give one of the two another address" in port.advice
    )
    assert told(here, "10.96.0.10:80").ports[0].name == "default/a"


def test_what_is_not_served_and_not_planned() -> None:
    odd = Service("default", "web", ("10.96.0.10",), (ServiceSpecPort("", "SCTP", 80),))
    explanation = told(world([odd]), "10.96.0.10:80/sctp")
    assert explanation.answer == "belongs to Service port default/web/sctp, which is not served"
    assert explanation.ports[0].advice[0].startswith("SCTP is not served")
    table = ServiceTable()
    table.apply(services(service("web")))
    (port,) = told(World(table, Running(), HOST, {}, {}, "none"), "svc/web").ports
    assert port.advice == (
        "no plan was applied for it yet; `userproxy status` says whether the agent is ready",
    )


def test_several_ports_are_told_together() -> None:
    both = service("web", "10.96.0.10", "fd00::1", ports={"http": 80, "https": 443})
    here = world([both], [READY])
    explanation = told(here, "svc/web")
    assert explanation.answer == "4 Service ports: dropped"
    assert len(told(here, "svc/web:https").ports) == 2
    assert [one.address for one in told(here, "10.96.0.10").ports] == ["10.96.0.10:80", "10.96.0.10:443"]
    assert (
        told(world([msgspec.structs.replace(both, cluster_ips=("fd00::1",))]), "svc/web").answer
        == "2 Service ports: not served"
    )


@pytest.mark.parametrize(
    ("target", "answer", "advice"),
    [
        ("10.96.0.10:81", "no Service has that port of this address", "it has 10.96.0.10:80"),
        ("10.244.0.1:8080", "not a Service's address, but an endpoint's", "it is behind default/web"),
        ("192.0.2.77:80", "no Service has this address", "`userproxy get services -A`"),
        ("svc/web:81", "Service default/web has no such port", "it has 80 (80/TCP)"),
        ("svc/web.other", "no Service other/web is known here", "there is default/web"),
        ("svc/nothing", "no Service default/nothing is known here", "kubectl -n default get service nothing"),
    ],
)
def test_what_to_do_where_nothing_is_found(target: str, answer: str, advice: str) -> None:
    explanation = told(world([service("web")], [READY]), target)
    assert (explanation.answer, explanation.ports) == (answer, ())
    assert explanation.advice[0].startswith(advice)
    assert f"  → {explanation.advice[0]}" in list(explanation_lines(explanation))


def test_a_service_that_vanishes_in_between_is_not_found() -> None:
    here = world([service("web")], [READY])
    here.table.apply(services(removed=("web",)))
    assert told(here, "10.96.0.10:80").ports == ()


def test_captures_name_their_element() -> None:
    frontend, listener = Frontend("10.96.0.10", 80, "TCP"), ("169.254.77.1", 40000)
    assert "-j DNAT" in capture_text(frontend, listener, "redirect (iptables)")
    assert capture_text(frontend, ("10.96.0.10", 80), "route") == "local route, listener on 10.96.0.10:80"
    loopback = Frontend("127.9.9.9", 8080, "TCP", FrontendKind.LOOPBACK)
    assert (
        capture_text(loopback, ("127.9.9.9", 8080), "loopback")
        == "listener on that loopback address, 127.9.9.9:8080"
    )


def test_without_capture_the_proxy_address_is_the_way() -> None:
    here = world([service("web")], [READY], capture="none")
    (way,) = told(here, "svc/web").ports[0].ways
    assert (way.frontends, way.outcome) == ((), "carried")


def test_options_and_failures_are_listed() -> None:
    options = PortOptions(5, 60, Balance.SOURCE_HASH, 3, 0.0, 2)
    port = ServicePort(key("web"), "10.96.0.10", 80, (), options=options, exposure=Exposure())
    assert len(list(setting_lines(port))) == 6
    assert policy_text(port, Route(Scope.LOAD_BALANCER, Verdict.CARRY)) == "externalTrafficPolicy Cluster"
    here = world([service("web")], [READY])
    counters = PortCounters(accepted=9, failed=2, retries=3, dial_refused=3, dial_timeout=1, paused=4)
    troubled = World(here.table, here.running, here.host, here.bound, {key("web"): counters}, here.capture)
    assert told(troubled, "svc/web").ports[0].failures == (
        "dials since the start: 3 refused, 1 timed out; 3 went on to another endpoint",
        "2 of 9 connections were reset because no endpoint took them",
        "accepting rested 4 times at the limit of connections",
    )


def test_recent_failures_are_the_last_few_of_that_port() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def event(verdict: str, **more: Any) -> ConnectionEvent:
        fields = {
            "client": "10.0.0.9:1000",
            "namespace": "default",
            "service": "web",
            "opened": moment,
            "seconds": 0.1,
        }
        return ConnectionEvent(time=moment, verdict=verdict, **{**fields, **more})

    retried = event("closed", endpoint="10.0.0.2:80", failed=("10.0.0.1:80",), reason="connection refused")
    others = [event("closed"), event("refused", service="other"), event("refused", ip_family="IPv6")]
    change = change_event("endpoints", "changed", moment, key("web"))
    (line,) = recent_failures(key("web"), [*others, change, retried])
    assert "retried after 10.0.0.1:80" in line
    assert len(recent_failures(key("web"), [event("refused")] * 9)) == 5
    assert len(recent_failures(key("web", family=Family.IPV6), others)) == 1


def test_local_without_networks_to_leave_out() -> None:
    serving = msgspec.structs.replace(serving_of(key("web"), [("10.0.0.1", 1)]), local=(("10.0.0.1", 1),))
    route = Route(Scope.INTERNAL, Verdict.CARRY, local=True)
    port = ServicePort(key("web"), "10.96.0.10", 80, ())
    assert outcome(port, route, serving, Host(), "") == ("carried", "to one of 1 endpoint on this node", True)


def test_long_lists_are_cut_in_text() -> None:
    many = endpoint_slice("w", "web", *(Endpoint(f"10.244.1.{n}", node="n7") for n in range(1, 31)))
    explanation = told(world([service("web")], [many]), "svc/web")
    ring = tuple(one.address for one in explanation.ports[0].endpoints)
    port = msgspec.structs.replace(
        explanation.ports[0],
        turns=(WorkerTurns(0, ring, ring[:2]), WorkerTurns(1, ring[:1], ())),
        failures=("some dials",),
        settings=("balance: random-two",),
    )
    lines = list(explanation_lines(msgspec.structs.replace(explanation, ports=(port,))))
    assert "    and 10 more (-o json lists all)" in lines
    assert f"  next (worker 0): {', '.join(ring[:4])}, ..." in lines
    assert f"  next of this node (worker 0): {', '.join(ring[:2])}" in lines
    assert "    √ 10.244.1.1:8080 on n7: ready" in lines
    assert "  failed: some dials" in lines
    assert "  balance: random-two" in lines


def test_addresses_of_ipv6() -> None:
    six = service("web", "fd00::1")
    here = world([six], [], capture="route")
    assert told(here, "[fd00::1]:80").ports[0].ip_family == "IPv6"
    assert told(here, "[fd00::1]:81").answer == "no Service has that port of this address"
    assert key("web", family=Family.IPV6) in here.running.ports
    assert list(here.table.at_address("fd00::1")) == [name("web")]
