"""Plans of UDP ports: listeners and frontends beside those of TCP, and which endpoints keep flows."""

from __future__ import annotations

from tests.build import services, slices
from tests.core.test_plan import Node
from userproxy.api_objects import EndpointSlice, Service, ServiceSpecPort, SlicePort
from userproxy.model import Endpoint, Family


def test_tcp_and_udp_on_one_port_number_have_a_listener_and_a_frontend_each() -> None:
    ports = (ServiceSpecPort("dns", "UDP", 53), ServiceSpecPort("dns-tcp", "TCP", 53))
    made = Node().step(services(Service("default", "dns", ("10.96.0.53",), ports)))
    assert [spec.is_udp for spec in made.open] == [True, False]
    assert [str(frontend) for frontend, _ in made.capture] == ["10.96.0.53:53"] * 2
    assert not made.contended


def test_sctp_is_left_alone() -> None:
    other = Service("default", "other", ("10.96.0.53",), (ServiceSpecPort("", "SCTP", 53),))
    assert Node().step(services(other)).empty


def test_udp_flows_last_with_endpoints_that_serve_outside_the_sets() -> None:
    """Row 1.11.3; of a TCP port nothing is said, its connections go on in any case."""
    ports = (ServiceSpecPort("dns", "UDP", 53), ServiceSpecPort("dns-tcp", "TCP", 53))
    node = Node()
    made = node.step(
        services(Service("default", "dns", ("10.96.0.53",), ports)),
        slices(
            EndpointSlice(
                "default",
                "dns-1",
                "dns",
                Family.IPV4,
                (SlicePort("dns", "UDP", 5353), SlicePort("dns-tcp", "TCP", 5353)),
                (
                    Endpoint("10.0.0.1"),
                    Endpoint("10.0.0.2", ready=False, serving=True, terminating=True),
                    Endpoint("10.0.0.3", ready=False, serving=False),
                ),
            )
        ),
    )
    assert [(serving.cluster, serving.lasting) for serving in made.serve] == [
        ((("10.0.0.1", 5353),), (("10.0.0.2", 5353),)),
        ((("10.0.0.1", 5353),), ()),
    ]
