"""What is said to be wrong with Services."""

from __future__ import annotations

from msgspec import structs

from tests.build import key, name
from userproxy.core.plan_settings import PlanSettings
from userproxy.core.service_warnings import service_warnings
from userproxy.model import Exposure, Frontend, NoEndpoints, ServicePort

SETTINGS = PlanSettings("redirect", "169.254.77.1", "", NoEndpoints.DROP, local_ports=(30000, 30100))
WEB = ServicePort(key("web"), "10.96.0.1", 80, (), exposure=Exposure(node_port=30080))
OTHER = ServicePort(key("other"), "10.96.0.1", 80, (), exposure=Exposure(node_port=31080))


def test_nothing_is_wrong() -> None:
    touched = {name("other"): (OTHER,)}
    assert service_warnings({name("other"): ()}, touched, (), SETTINGS) == {name("other"): ()}


def test_annotations_node_ports_and_frontends_of_others() -> None:
    touched = {name("web"): (WEB,), name("other"): (OTHER,)}
    contended = [(Frontend("10.96.0.1", 80, "TCP"), key("web"), key("other"))]
    found = service_warnings({name("web"): ("bad",), name("other"): ()}, touched, contended, SETTINGS)
    assert found[name("web")][0] == "bad"
    assert "node port 30080 is in ip_local_port_range" in found[name("web")][1]
    assert "10.96.0.1:80 belongs to default/web already" in found[name("other")][0]


def test_a_sidecar_has_no_node_port_to_warn_of() -> None:
    sidecar = structs.replace(SETTINGS, node_ports=False)
    assert service_warnings({name("web"): ()}, {name("web"): (WEB,)}, (), sidecar) == {name("web"): ()}
