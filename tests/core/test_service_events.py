"""What plans tell: Service ports and endpoints that come and go, verdicts, and floods told by number."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.build import endpoint_slice, key, service, services, slices
from tests.core.test_plan import WEB, WEB_UP, Node
from userproxy.api_objects import Changes
from userproxy.core.plan import Running
from userproxy.core.service_events import MANY_ENDPOINTS, MANY_PORTS, Change, service_changes
from userproxy.model import ServiceName


class Told(Node):
    """A node that says what each step changes."""

    def tell(self, *batches: Changes) -> list[Change]:
        before = Running()
        before.ports = dict(self.running.ports)
        return list(service_changes(before, self.step(*batches), 7.0))


def texts(changes: list[Change]) -> list[tuple[str, str]]:
    return [(change.kind, change.message) for change in changes]


def up(*addresses: str) -> Changes:
    return slices(endpoint_slice("web-1", "web", *addresses))


def test_a_service_port_comes_and_goes() -> None:
    node = Told()
    [added] = node.tell(WEB, WEB_UP)
    assert added == Change(
        7.0, "service-added", "Service port added, 2 usable endpoints", key("web"), verdict="carry"
    )
    [removed] = node.tell(Changes("services", removed=(ServiceName("default", "web"),)))
    assert (removed.kind, removed.key) == ("service-removed", key("web"))


def test_a_single_endpoint_is_no_plural() -> None:
    [added] = Told().tell(WEB, up("10.0.0.1"))
    assert added.message.endswith("1 usable endpoint")


def test_endpoints_are_named() -> None:
    node = Told()
    node.tell(WEB, WEB_UP)
    changes = node.tell(up("10.0.0.2", "10.0.0.3"))
    assert texts(changes) == [
        ("endpoint-removed", "endpoint 10.0.0.1:8080 removed, 2 usable"),
        ("endpoint-added", "endpoint 10.0.0.3:8080 added, 2 usable"),
    ]
    assert [change.endpoint for change in changes] == ["10.0.0.1:8080", "10.0.0.3:8080"]
    assert node.tell(up("10.0.0.2", "10.0.0.3")) == []


def test_without_endpoints_the_verdict_is_told_and_so_is_its_end() -> None:
    node = Told()
    node.tell(WEB, up("10.0.0.1"))
    *_, none = node.tell(up())
    assert (none.kind, none.verdict) == ("verdict", "drop")
    assert "dropped in the kernel" in none.message
    *_, again = node.tell(up("10.0.0.1"))
    assert (again.kind, again.verdict) == ("verdict", "carry")


def test_many_endpoints_are_told_by_number() -> None:
    node = Told()
    node.tell(WEB, WEB_UP)
    [change] = node.tell(up(*(f"10.9.0.{number}" for number in range(MANY_ENDPOINTS))))
    assert (change.kind, change.message) == ("endpoints", "20 endpoints added, 2 removed, 20 usable")


def test_many_service_ports_are_told_by_number() -> None:
    many = [service(f"s{n}", f"10.96.1.{n % 250 + 1}", ports={"": 80 + n}) for n in range(MANY_PORTS + 1)]
    [change] = Told().tell(services(*many))
    assert (change.kind, change.message) == ("services", "201 Service ports changed, 0 removed")


def test_a_change_becomes_an_event() -> None:
    now = datetime(2026, 11, 26, tzinfo=UTC)
    event = Change(1.0, "verdict", "text", key("web"), verdict="drop").event(now)
    assert (event.time, event.kind, event.namespace, event.service, event.verdict) == (
        now,
        "verdict",
        "default",
        "web",
        "drop",
    )
