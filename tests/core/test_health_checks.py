"""What healthCheckNodePort counts and where it answers (reference rows 1.9.1, 1.9.2 and 1.9.7)."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from tests.build import key, name
from userproxy.core.health_checks import HealthCheck, health_checks
from userproxy.core.plan_settings import PlanSettings
from userproxy.model import Endpoint, Exposure, Family, Host, NoEndpoints, ServicePort

HOST = Host("n1", node_addresses=("10.0.0.5",), addresses=("10.0.0.5", "127.0.0.1", "fd00::5"))
SETTINGS = PlanSettings("redirect", "169.254.77.1", "", NoEndpoints.DROP)
HERE = [Endpoint(f"10.1.0.{n}", 80, node="n1") for n in range(2)]


def port(label: str, endpoints: list[Endpoint], family: Family = Family.IPV4, **exposure: Any) -> ServicePort:
    return ServicePort(
        key("web", label, family),
        "10.96.0.1",
        80,
        tuple(endpoints),
        exposure=Exposure(health_check_node_port=32000, **exposure),
    )


def test_row_1_9_7_distinct_local_ready_addresses_over_all_ports_are_counted() -> None:
    others = [
        structs.replace(HERE[0], port=81),
        Endpoint("10.1.0.7", 80, node="n2"),
        Endpoint("10.1.0.8", 80, ready=False, terminating=True, node="n1"),
    ]
    ports = [port("a", HERE), port("b", others)]
    assert health_checks(name("web"), ports, HOST, SETTINGS) == (
        HealthCheck(name("web"), Family.IPV4, 32000, ("10.0.0.5",), 2),
    )


def test_row_1_9_2_each_family_answers_for_itself_and_everywhere_where_node_ports_do() -> None:
    ports = [port("a", HERE), port("a", [], Family.IPV6)]
    four, six = health_checks(name("web"), ports, HOST, SETTINGS)
    assert (four.endpoints, six.endpoints) == (2, 0)
    assert six.addresses == ("::",)


def test_no_number_or_a_sidecar_means_no_server() -> None:
    plain = ServicePort(key("web"), "10.96.0.1", 80, ())
    assert health_checks(name("web"), [plain], HOST, SETTINGS) == ()
    sidecar = structs.replace(SETTINGS, node_ports=False)
    assert health_checks(name("web"), [port("a", HERE)], HOST, sidecar) == ()
