"""The exporter's metrics, parsed back from text and compared with the counters they came from.

The parser is prometheus_client's own. The last test holds the table METRICS against what is exposed.
"""

from __future__ import annotations

import itertools
import platform
import time

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

import userproxy
from tests.admin.build import busy_ports, key, sources
from userproxy.admin.exporter import Exporter, read_process
from userproxy.admin.exposition import Exposition
from userproxy.admin.metric_table import METRICS
from userproxy.admin.sources import Sources
from userproxy.admin.wallclock import WallClock
from userproxy.api_objects import WatchState
from userproxy.core.counters import DIAL_BUCKETS, Loss, PortCounters
from userproxy.core.health import SyncHealth
from userproxy.core.status import CaptureView, WorkersView
from userproxy.core.sync_counters import SYNC_BUCKETS, SyncCounters
from userproxy.model import Family, NoEndpoints

OPENMETRICS = "application/openmetrics-text; version=1.0.0"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def text_of(given: Sources, accept: str = "") -> str:
    return b"".join(Exposition(Exporter(given, WallClock()), accept).pieces()).decode()


def samples(given: Sources, accept: str = "") -> Samples:
    parse = parse_openmetrics if accept else parse_text
    found: Samples = {}
    for metric in parse(text_of(given, accept)):
        for one in metric.samples:
            place = (one.name, frozenset(one.labels.items()))
            assert place not in found
            found[place] = one.value
    return found


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


PORT = {"namespace": "shop", "service": "cart", "port": "http", "protocol": "TCP", "ip_family": "IPv6"}

FULL = PortCounters(
    accepted=101,
    active=3,
    carried=97,
    failed=4,
    direct_refused=5,
    retries=6,
    dial_refused=11,
    dial_unreachable=12,
    dial_timeout=13,
    dial_other=14,
    bytes_received=2**53 - 1,
    bytes_sent=7_000_000_000,
    dial_seconds=1.5,
    dial_buckets=list(range(len(DIAL_BUCKETS) + 1)),
)

FLOWS = PortCounters(
    accepted=7,
    active=3,
    carried=6,
    retries=5,
    bytes_received=1,
    bytes_sent=2,
    datagrams_received=30,
    datagrams_sent=20,
    datagrams_lost=[loss + 100 for loss in Loss],
    flows_evicted=4,
)


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_every_counter_of_a_udp_port_comes_back(accept: str) -> None:
    ports = [
        *busy_ports(2),
        (key("dns", port="dns", protocol="UDP"), FLOWS),
        (key("last"), PortCounters(accepted=1)),
    ]
    found = samples(sources(counters=lambda: ports), accept)
    labels = {
        **PORT,
        "namespace": "default",
        "service": "dns",
        "port": "dns",
        "protocol": "UDP",
        "ip_family": "IPv4",
    }
    of_port = {
        (name, dict(extra).get("direction") or dict(extra).get("reason")): sample
        for (name, extra), sample in found.items()
        if labels.items() <= dict(extra).items()
    }
    assert of_port == {
        ("userproxy_udp_flows_total", None): 7,
        ("userproxy_udp_flows_active", None): 3,
        ("userproxy_udp_flows_answered_total", None): 6,
        ("userproxy_udp_flows_moved_total", None): 5,
        ("userproxy_udp_flows_evicted_total", None): 4,
        ("userproxy_udp_datagrams_total", "received"): 30,
        ("userproxy_udp_datagrams_total", "sent"): 20,
        ("userproxy_bytes_total", "received"): 1,
        ("userproxy_bytes_total", "sent"): 2,
        ("userproxy_ejections_total", None): 0,
        ("userproxy_endpoints_ejected", None): 0,
        **{("userproxy_udp_datagrams_lost_total", loss.name.lower()): 100 + loss for loss in Loss},
    }


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_every_counter_of_a_service_port_comes_back(accept: str) -> None:
    ports = [(key("cart", namespace="shop", family=Family.IPV6), FULL), *busy_ports(3)]
    found = samples(sources(counters=lambda: ports), accept)
    expected: dict[str, float] = {
        "userproxy_connections_accepted_total": 101,
        "userproxy_connections_active": 3,
        "userproxy_connections_carried_total": 97,
        "userproxy_connections_failed_total": 4,
        "userproxy_direct_refused_total": 5,
        "userproxy_dial_retries_total": 6,
        "userproxy_dial_seconds_count": sum(FULL.dial_buckets),
        "userproxy_dial_seconds_sum": 1.5,
    }
    assert {name: value(found, name, **PORT) for name in expected} == expected
    failed = {
        reason: value(found, "userproxy_dials_failed_total", **PORT, reason=reason)
        for reason in ("refused", "unreachable", "timeout", "other")
    }
    assert failed == {"refused": 11, "unreachable": 12, "timeout": 13, "other": 14}
    assert value(found, "userproxy_bytes_total", **PORT, direction="received") == 2**53 - 1
    assert value(found, "userproxy_bytes_total", **PORT, direction="sent") == 7_000_000_000
    bounds = [*map(str, DIAL_BUCKETS), "+Inf"]
    buckets = [value(found, "userproxy_dial_seconds_bucket", **PORT, le=bound) for bound in bounds]
    assert buckets == list(itertools.accumulate(FULL.dial_buckets))


def test_values_are_read_when_asked() -> None:
    counters = PortCounters(accepted=1)
    given = sources(counters=lambda: [(key("cart", namespace="shop", family=Family.IPV6), counters)])
    name = "userproxy_connections_accepted_total"
    assert value(samples(given), name, **PORT) == 1
    counters.accepted += 41
    assert value(samples(given), name, **PORT) == 42


def test_a_service_port_without_connections_has_one_series() -> None:
    found = samples(sources(counters=lambda: [(key("idle"), PortCounters())]))
    of_port = [name for name, labels in found if ("service", "idle") in labels]
    assert of_port == ["userproxy_connections_accepted_total"]


@pytest.mark.parametrize(
    "counters", [PortCounters(direct_refused=1), PortCounters(active=1), PortCounters(accepted=1)]
)
def test_any_connection_brings_all_series(counters: PortCounters) -> None:
    found = samples(sources(counters=lambda: [(key("new"), counters)]))
    names = {name for name, labels in found if ("service", "new") in labels}
    assert {"userproxy_connections_failed_total", "userproxy_dial_seconds_count"} <= names


def test_a_port_without_a_name_and_odd_names_survive() -> None:
    ports = [(key('we"ird\\na\nme', port=""), PortCounters(accepted=9))]
    found = samples(sources(counters=lambda: ports))
    labels = {**PORT, "namespace": "default", "service": 'we"ird\\na\nme', "port": "", "ip_family": "IPv4"}
    assert value(found, "userproxy_connections_accepted_total", **labels) == 9


def test_many_ports_come_in_small_pieces_but_as_whole_families() -> None:
    ports = busy_ports(400)
    given = sources(counters=lambda: ports)
    pieces = list(Exposition(Exporter(given, WallClock()), "").pieces())
    most = max(len([line for line in piece.splitlines() if not line.startswith(b"#")]) for piece in pieces)
    assert 1 < most <= 128
    text = b"".join(pieces).decode()
    types = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(types) == len(set(types))
    carried = {
        one.labels["service"]: one.value
        for metric in parse_text(text)
        for one in metric.samples
        if one.name == "userproxy_connections_carried_total"
    }
    assert carried == {name.name.name: counters.carried for name, counters in ports}


def test_service_ports_without_endpoints() -> None:
    held = [(key("empty"), NoEndpoints.DROP, 2), (key("closed", ""), NoEndpoints.REJECT, 1)]
    found = samples(sources(no_endpoints=lambda: held))
    base = {"namespace": "default", "protocol": "TCP", "ip_family": "IPv4"}
    name = "userproxy_no_endpoints_listeners"
    assert value(found, name, **base, service="empty", port="http", action="drop") == 2
    assert value(found, name, **base, service="closed", port="", action="reject") == 1


def test_watches() -> None:
    now = time.monotonic()
    states = (
        WatchState("services", True, True, now - 50.0, 7, (("expired", 2), ("eof", 3)), 4, 5, ""),
        WatchState("nodes", False, False, None, 0, (), 0, 0, "refused"),
    )
    found = samples(sources(watches=lambda: states))
    assert value(found, "userproxy_watch_connected", resource="services") == 1
    assert value(found, "userproxy_watch_connected", resource="nodes") == 0
    assert value(found, "userproxy_watch_objects", resource="services") == 7
    assert value(found, "userproxy_watch_relists_total", resource="services") == 4
    assert value(found, "userproxy_watch_decode_errors_total", resource="services") == 5
    age = value(found, "userproxy_watch_last_event_age_seconds", resource="services")
    assert 50.0 <= age < 60.0
    assert ("userproxy_watch_last_event_age_seconds", frozenset({("resource", "nodes")})) not in found
    restarts = {
        dict(labels)["reason"]: count
        for (name, labels), count in found.items()
        if name == "userproxy_watch_restarts_total"
    }
    assert restarts == {"expired": 2, "eof": 3}


def test_capture_and_build() -> None:
    found = samples(sources(capture=lambda: CaptureView("redirect", "nft", 6)))
    assert value(found, "userproxy_capture_info", capture="redirect", detail="nft") == 1
    assert value(found, "userproxy_capture_repairs_total") == 6
    versions = {"version": userproxy.__version__, "python": platform.python_version()}
    assert value(found, "userproxy_build_info", **versions) == 1


def test_syncs_under_kube_proxys_names() -> None:
    sync = SyncCounters(
        service_changes=3, endpoint_changes=5, service_changes_pending=1, endpoint_changes_pending=2
    )
    for seconds in (0.0005, 0.003, 100.0):
        sync.observe(seconds)
    found = samples(sources(sync=lambda: sync))
    prefix = "kubeproxy_sync_proxy_rules"
    assert value(found, f"{prefix}_duration_seconds_sum") == pytest.approx(100.0035)
    bounds = [*map(str, SYNC_BUCKETS), "+Inf"]
    buckets = [value(found, f"{prefix}_duration_seconds_bucket", le=bound) for bound in bounds]
    assert buckets == [1, 1, *[2] * 13, 3]
    assert value(found, f"{prefix}_service_changes_total") == 3
    assert value(found, f"{prefix}_endpoint_changes_total") == 5
    assert value(found, f"{prefix}_service_changes_pending") == 1
    assert value(found, f"{prefix}_endpoint_changes_pending") == 2


def test_sync_times_are_unix_times() -> None:
    health = SyncHealth()
    names = [f"kubeproxy_sync_proxy_rules_last_{kind}timestamp_seconds" for kind in ("", "queued_")]
    found = samples(sources(health=health.verdict))
    assert [value(found, name) for name in names] == [0, 0]
    health.applied(time.monotonic() - 500.0)
    health.queued(None, time.monotonic() - 200.0)
    found = samples(sources(health=health.verdict))
    assert [value(found, name) - time.time() for name in names] == pytest.approx([-500.0, -200.0], abs=5)


def test_answers_of_probes() -> None:
    given = sources()
    given.answers.healthz[503] += 2
    given.answers.livez[200] += 3
    found = samples(given)
    answers = {
        (name, code): value(found, f"kubeproxy_proxy_{name}_total", code=code)
        for name in ("healthz", "livez")
        for code in ("200", "503")
    }
    assert answers == {
        ("healthz", "200"): 0,
        ("healthz", "503"): 2,
        ("livez", "200"): 3,
        ("livez", "503"): 0,
    }


def test_the_process_metrics_are_there() -> None:
    names = {metric.name for metric in read_process()}
    assert {
        "process_cpu_seconds",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_max_fds",
    } <= names


def test_the_table_equals_what_is_exposed() -> None:
    """METRICS is the one table of names, types, labels and help: nothing more and nothing less is exposed."""
    given = sources(
        counters=lambda: [(key("cart"), FULL), (key("dns", protocol="UDP"), FLOWS)],
        no_endpoints=lambda: [(key("empty"), NoEndpoints.DROP, 1)],
        watches=lambda: (WatchState("services", True, True, 1.0, 7, (("eof", 3),), 4, 5, ""),),
        capture=lambda: CaptureView("redirect", "nft"),
    )
    found = {scraped_name(metric): metric for metric in parse_openmetrics(text_of(given, OPENMETRICS))}
    assert sorted(found) == sorted(spec.name for spec in METRICS)
    for spec in METRICS:
        metric = found[spec.name]
        assert (metric.type, metric.documentation) == (spec.type, spec.help)
        assert {label for one in metric.samples for label in one.labels} - {"le"} == set(spec.labels)


def scraped_name(metric: Metric) -> str:
    """Return the name under which Prometheus keeps a family; OpenMetrics leaves the suffix to the samples."""
    return metric.name + {"counter": "_total", "info": "_info"}.get(metric.type, "")


def test_workers_and_what_they_remember() -> None:
    found = samples(sources(workers=lambda: WorkersView(2, 3, 0, 400)))
    assert value(found, "userproxy_workers") == 2
    assert value(found, "userproxy_workers_replaced_total") == 3
    assert value(found, "userproxy_affinity_clients") == 400


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_ejections(protocol: str) -> None:
    counters = PortCounters(accepted=1, datagrams_received=1, ejections=5, ejected=2)
    found = samples(sources(counters=lambda: [(key("cart", protocol=protocol), counters)]))
    labels = PORT | {"namespace": "default", "protocol": protocol, "ip_family": "IPv4"}
    assert value(found, "userproxy_ejections_total", **labels) == 5
    assert value(found, "userproxy_endpoints_ejected", **labels) == 2
