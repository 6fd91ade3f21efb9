"""kube-proxy's rows 1.5.x (session affinity): from the API objects to the endpoint that each client gets.

Everything but sockets takes part: decoding, table, plan and the balancing of one worker. tests/dataplane/test_affinity.py has
the same on real sockets with several workers.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.kube.objects import Object
from userproxy.api_objects import Changes
from userproxy.core.affinity import AffinityRecords
from userproxy.core.balancing import Balancing
from userproxy.core.counters import PortCounters
from userproxy.core.networks import contains
from userproxy.core.plan import Running, Serving, plan
from userproxy.core.plan_settings import PlanSettings
from userproxy.core.table import ServiceTable
from userproxy.kube.decode import SLICES, Decoded, services_for
from userproxy.model import Family, Host, NoEndpoints, PortKey, Scope, ServicePortName

SERVICE = """
metadata: {name: web, namespace: default}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10]
  externalIPs: [198.51.100.7]
  sessionAffinity: ClientIP
  ports:
  - {name: http, port: 80, protocol: TCP, nodePort: 30080}
  - {name: admin, port: 81, protocol: TCP, nodePort: 30081}
status:
  loadBalancer: {ingress: [{ip: 203.0.113.9}]}
"""
ENDPOINTS = {f"10.244.0.{n}": "n1" if n < 4 else "n2" for n in range(1, 9)}
"""Addresses with their Nodes; ours is n1."""
HOURS_3 = 10_800.0
CLIENT = "192.0.2.77"


class Proxy:
    """What one worker knows, driven by API objects."""

    def __init__(self, service: str = SERVICE, **spec: Any) -> None:
        self.table, self.running = ServiceTable(), Running()
        self.settings = PlanSettings("redirect", "169.254.77.1", "", NoEndpoints.REJECT)
        self.records = AffinityRecords()
        self.ports: dict[PortKey, Balancing] = {}
        self.serving: dict[PortKey, Serving] = {}
        self.service = service
        self.change(**spec)
        self.endpoints(*ENDPOINTS)

    def change(self, **spec: Any) -> None:
        """Apply the Service with some fields of its spec replaced."""
        item: Object = yaml.safe_load(self.service)
        item["spec"] |= spec
        self._apply("services", services_for().decode(json.dumps(item).encode()))

    def endpoints(self, *addresses: str) -> None:
        """Let these be the ready endpoints."""
        piece = {
            "metadata": {
                "name": "web-1",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": "web"},
            },
            "addressType": "IPv4",
            "endpoints": [
                {"addresses": [one], "conditions": {"ready": True}, "nodeName": ENDPOINTS[one]}
                for one in addresses
            ],
            "ports": [{"name": name, "protocol": "TCP", "port": 8080} for name in ("http", "admin")],
        }
        self._apply("endpointslices", SLICES.decode(json.dumps(piece).encode()))

    def connect(
        self,
        at: float,
        client: str = CLIENT,
        port: str = "http",
        scope: Scope = Scope.INTERNAL,
        failed: str = "",
    ) -> str:
        """Return the address of the endpoint of a new connection, `at` in seconds; one that did not answer is `failed`."""
        key = PortKey(ServicePortName("default", "web", port, "TCP"), Family.IPV4)
        route = self.serving[key].route(scope)
        local = route.local and not contains(route.everywhere, client)
        balancer = self.ports[key].local if local else self.ports[key].cluster
        picked = balancer.pick_other([(failed, 8080)], client, at) if failed else balancer.pick(client, at)
        assert picked is not None
        return picked[0]

    def _apply(self, resource: str, decoded: Decoded) -> None:
        assert decoded.value is not None
        self.table.apply(Changes(resource, (decoded.value,), listed=True))
        made = plan(self.running, self.table.take(), self.settings, Host("n1", addresses=("192.0.2.1",)))
        self.running.record(made)
        for serving in made.serve:
            key = serving.key
            if key not in self.ports:
                self.ports[key] = Balancing(key, self.records, PortCounters(), lambda: 0.0)
            self.ports[key].update(serving.cluster, serving.local, serving.options)
            self.serving[key] = serving


def moved(proxy: Proxy, at: float = 0.0) -> str:
    """Let the client's first endpoint fail, so that it is remembered at one that no hash would choose; returns that one."""
    return proxy.connect(at, failed=proxy.connect(at))


@pytest.mark.parametrize("kind", ["None", None, "ClientIPs", ""], ids=lambda kind: f"1.5.1-{kind}")
def test_without_affinity_connections_take_turns(kind: str | None) -> None:
    proxy = Proxy(sessionAffinity=kind)
    assert sorted(proxy.connect(0.0) for _ in ENDPOINTS) == sorted(ENDPOINTS)


@pytest.mark.parametrize("row", ["1.5.1"])
def test_client_ip_keeps_each_client_at_one_endpoint(row: str) -> None:
    proxy = Proxy()
    clients = [f"192.0.2.{n}" for n in range(100, 140)]
    first = {client: proxy.connect(0.0, client) for client in clients}
    assert len(set(first.values())) > len(ENDPOINTS) / 2
    assert {client: proxy.connect(1.0, client) for client in clients} == first


@pytest.mark.parametrize(
    ("config", "seconds"),
    [
        pytest.param(None, HOURS_3, id="1.5.2-default"),
        pytest.param({}, HOURS_3, id="1.5.2-empty"),
        pytest.param({"clientIP": {}}, HOURS_3, id="1.5.2-no-seconds"),
        pytest.param({"clientIP": {"timeoutSeconds": 1}}, 1.0, id="1.5.2-least"),
        pytest.param({"clientIP": {"timeoutSeconds": 86_400}}, 86_400.0, id="1.5.2-most"),
    ],
)
def test_how_long_a_client_is_remembered(config: Object | None, seconds: float) -> None:
    proxy = Proxy(sessionAffinityConfig=config)
    kept = moved(proxy)
    assert proxy.connect(seconds - 0.01) == kept
    assert proxy.connect(2 * seconds) != kept


@pytest.mark.parametrize("row", ["1.5.3"])
def test_ports_of_one_service_do_not_share_and_its_frontends_do(row: str) -> None:
    proxy = Proxy()
    kept = moved(proxy)
    assert proxy.connect(1.0, port="admin") != kept
    assert {proxy.connect(1.0, scope=scope) for scope in Scope} == {kept}


@pytest.mark.parametrize("row", ["1.5.4"])
def test_every_new_connection_starts_the_time_anew(row: str) -> None:
    proxy = Proxy(sessionAffinityConfig={"clientIP": {"timeoutSeconds": 60}})
    kept = moved(proxy)
    assert [proxy.connect(at) for at in (59.0, 118.0, 177.0)] == [kept] * 3
    # A connection that stays open says nothing: 60 s after it was opened its client is unknown.
    assert proxy.connect(237.0) != kept


@pytest.mark.parametrize("row", ["1.5.5"])
def test_an_endpoint_that_left_is_replaced_for_good(row: str) -> None:
    proxy = Proxy()
    gone = moved(proxy)
    proxy.endpoints(*(one for one in ENDPOINTS if one != gone))
    other = proxy.connect(1.0)
    assert other != gone
    proxy.endpoints(*ENDPOINTS)
    assert proxy.connect(2.0) == other


@pytest.mark.parametrize("row", ["1.5.5"])
def test_endpoints_that_join_take_no_client_away(row: str) -> None:
    proxy = Proxy()
    proxy.endpoints("10.244.0.1")
    clients = [f"192.0.2.{n}" for n in range(100, 120)]
    assert {proxy.connect(0.0, client) for client in clients} == {"10.244.0.1"}
    proxy.endpoints(*ENDPOINTS)
    assert {proxy.connect(1.0, client) for client in clients} == {"10.244.0.1"}


@pytest.mark.parametrize("row", ["1.5.6"])
def test_the_local_and_the_cluster_set_share_what_is_remembered(row: str) -> None:
    proxy = Proxy(externalTrafficPolicy="Local")
    kept = proxy.connect(0.0, scope=Scope.LOAD_BALANCER)
    assert ENDPOINTS[kept] == "n1"
    assert proxy.connect(1.0) == kept
    # The other way round only where the endpoint is in the local set: that of the cluster may be on another node.
    remote = next(one for one in ENDPOINTS if ENDPOINTS[one] == "n2")
    proxy.endpoints(remote)
    assert proxy.connect(2.0) == remote
    proxy.endpoints(*ENDPOINTS)
    assert ENDPOINTS[proxy.connect(3.0, scope=Scope.LOAD_BALANCER)] == "n1"


@pytest.mark.parametrize("row", ["1.5.7"])
def test_it_can_be_switched_while_running(row: str) -> None:
    proxy = Proxy(sessionAffinity="None")
    proxy.change(sessionAffinity="ClientIP")
    kept = moved(proxy)
    assert {proxy.connect(1.0) for _ in ENDPOINTS} == {kept}
    proxy.change(sessionAffinity="None")
    assert sorted(proxy.connect(2.0) for _ in ENDPOINTS) == sorted(ENDPOINTS)


@pytest.mark.parametrize("row", ["1.5.9"])
def test_memory_is_bounded(row: str) -> None:
    proxy = Proxy()
    proxy.records = AffinityRecords(limit=100)
    proxy.ports.clear()
    proxy.change(sessionAffinityConfig={"clientIP": {"timeoutSeconds": 60}})
    for n in range(1000):
        proxy.connect(0.0, f"192.0.{n // 250}.{n % 250}")
    assert proxy.records.held <= 100
