"""The Grafana dashboard, made from a table of panels: deploy/grafana/userproxy.json

Owns titles, queries and layout. Metrics are named in full, so that a test can compare them with the table of metrics.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.deploy.rendered import DEPLOY
from userproxy import __version__

DASHBOARD = DEPLOY / "grafana" / "userproxy.json"
NODE = 'job="$job", instance=~"$instance"'
PORT = f'{NODE}, namespace=~"$namespace", service=~"$service"'
BY_SERVICE = "sum by (namespace, service, port)"
NAME = "{{namespace}}/{{service}}:{{port}}"
WIDTH = 24

Json = dict[str, Any]


@dataclass(frozen=True)
class Panel:
    """One panel. `queries` are PromQL with the legend of each."""

    title: str
    queries: dict[str, str]
    text: str = ""
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    alarm: float | None = field(default=None)
    """from here on a single value is red"""


ROWS: dict[str, tuple[Panel, ...]] = {
    "At a glance": (
        Panel("Nodes", {f"sum(up{{{NODE}}})": "up"}, "Scraped successfully.", kind="stat", width=4),
        Panel(
            "Not keeping up",
            {
                f"count(kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds{{{NODE}}}"
                f" - kubeproxy_sync_proxy_rules_last_timestamp_seconds{{{NODE}}} > 30) or vector(0)": "nodes"
            },
            "Nodes where a change has waited for more than 30 s.",
            kind="stat",
            width=4,
            alarm=1,
        ),
        Panel(
            "Watches lost",
            {f"count(userproxy_watch_connected{{{NODE}}} == 0) or vector(0)": "watches"},
            "Watches without a connection to the API server; what was known before is served.",
            kind="stat",
            width=4,
            alarm=1,
        ),
        Panel(
            "Without endpoints",
            {
                "count(count by (namespace, service, port, protocol)"
                f" (userproxy_no_endpoints_listeners{{{PORT}}} > 0)) or vector(0)": "Service ports"
            },
            "Service ports with no usable endpoint on at least one node.",
            kind="stat",
            width=4,
        ),
        Panel(
            "Connections open",
            {f"sum(userproxy_connections_active{{{PORT}}})": "connections"},
            kind="stat",
            width=4,
        ),
        Panel(
            "Connections failing",
            {
                f"sum(rate(userproxy_connections_failed_total{{{PORT}}}[$__rate_interval]))"
                f" / sum(rate(userproxy_connections_accepted_total{{{PORT}}}[$__rate_interval]))": "failing"
            },
            "Share of connections that reached no endpoint.",
            "percentunit",
            "stat",
            4,
            0.05,
        ),
    ),
    "Connections": (
        Panel(
            "New connections",
            {f"{BY_SERVICE} (rate(userproxy_connections_accepted_total{{{PORT}}}[$__rate_interval]))": NAME},
            unit="cps",
        ),
        Panel("Open connections", {f"{BY_SERVICE} (userproxy_connections_active{{{PORT}}})": NAME}),
        Panel(
            "Traffic",
            {
                f"sum by (direction) (rate(userproxy_bytes_total{{{PORT}}}[$__rate_interval]))": "{{direction}}"
            },
            unit="Bps",
        ),
        Panel(
            "Carried and failed",
            {
                f"sum(rate(userproxy_connections_carried_total{{{PORT}}}[$__rate_interval]))": "carried",
                f"sum(rate(userproxy_connections_failed_total{{{PORT}}}[$__rate_interval]))": "failed",
                f"sum(rate(userproxy_direct_refused_total{{{PORT}}}[$__rate_interval]))": "refused: not captured",
            },
            unit="cps",
        ),
        Panel(
            "Failed dials by reason",
            {
                f"sum by (reason) (rate(userproxy_dials_failed_total{{{PORT}}}[$__rate_interval]))": "{{reason}}"
            },
            "Each is followed by the next endpoint, until all failed.",
            "ops",
        ),
        Panel(
            "Time of a dial",
            {
                f"histogram_quantile({part}, sum by (le)"
                f" (rate(userproxy_dial_seconds_bucket{{{PORT}}}[$__rate_interval])))": name
                for part, name in ((0.5, "median"), (0.99, "99 %"))
            },
            "Successful dials to endpoints.",
            "s",
        ),
    ),
    "Endpoints": (
        Panel(
            "Dials after the first",
            {f"{BY_SERVICE} (rate(userproxy_dial_retries_total{{{PORT}}}[$__rate_interval]))": NAME},
            unit="ops",
        ),
        Panel(
            "Ejected endpoints",
            {f"{BY_SERVICE} (userproxy_endpoints_ejected{{{PORT}}})": NAME},
            "Passed over because dials kept failing; each worker counts for itself.",
        ),
        Panel(
            "Ejections",
            {f"{BY_SERVICE} (increase(userproxy_ejections_total{{{PORT}}}[$__rate_interval]))": NAME},
        ),
        Panel(
            "Without endpoints",
            {
                "sum by (namespace, service, port, protocol, action)"
                f" (userproxy_no_endpoints_listeners{{{PORT}}})": f"{NAME} {{{{action}}}}"
            },
            "Listeners, by what clients meet.",
            width=16,
        ),
        Panel(
            "Clients with affinity",
            {f"sum by (instance) (userproxy_affinity_clients{{{NODE}}})": "{{instance}}"},
            "At --affinity-clients the oldest are forgotten.",
        ),
    ),
    "UDP": (
        Panel("Flows", {f"{BY_SERVICE} (userproxy_udp_flows_active{{{PORT}}})": NAME}),
        Panel(
            "New flows, answered, moved",
            {
                f"sum(rate(userproxy_udp_flows_total{{{PORT}}}[$__rate_interval]))": "new",
                f"sum(rate(userproxy_udp_flows_answered_total{{{PORT}}}[$__rate_interval]))": "answered",
                f"sum(rate(userproxy_udp_flows_moved_total{{{PORT}}}[$__rate_interval]))": "moved to another endpoint",
                f"sum(rate(userproxy_udp_flows_evicted_total{{{PORT}}}[$__rate_interval]))": "evicted",
            },
            unit="ops",
        ),
        Panel(
            "Datagrams",
            {
                f"sum by (direction) (rate(userproxy_udp_datagrams_total{{{PORT}}}[$__rate_interval]))": "{{direction}}",
                f"sum by (reason) (rate(userproxy_udp_datagrams_lost_total{{{PORT}}}[$__rate_interval]))": "lost: {{reason}}",
            },
            unit="pps",
        ),
    ),
    "Control": (
        Panel(
            "Time to apply a plan",
            {
                f"histogram_quantile({part}, sum by (le)"
                f" (rate(kubeproxy_sync_proxy_rules_duration_seconds_bucket{{{NODE}}}[$__rate_interval])))": name
                for part, name in ((0.5, "median"), (0.99, "99 %"))
            },
            unit="s",
        ),
        Panel(
            "Changes",
            {
                f"sum(rate(kubeproxy_sync_proxy_rules_service_changes_total{{{NODE}}}[$__rate_interval]))": "Services",
                f"sum(rate(kubeproxy_sync_proxy_rules_endpoint_changes_total{{{NODE}}}[$__rate_interval]))": "EndpointSlices",
                f"sum(kubeproxy_sync_proxy_rules_service_changes_pending{{{NODE}}})": "Services waiting",
                f"sum(kubeproxy_sync_proxy_rules_endpoint_changes_pending{{{NODE}}})": "EndpointSlices waiting",
            },
        ),
        Panel(
            "Last event of a watch",
            {
                f"max by (resource) (userproxy_watch_last_event_age_seconds{{{NODE}}})": "{{resource}}",
            },
            "The API server sends at least a bookmark each minute.",
            "s",
        ),
        Panel(
            "Restarts of watches",
            {
                "sum by (resource, reason)"
                f" (increase(userproxy_watch_restarts_total{{{NODE}}}[$__rate_interval]))": "{{resource}}: {{reason}}",
                "sum by (resource)"
                f" (increase(userproxy_watch_relists_total{{{NODE}}}[$__rate_interval]))": "{{resource}} listed again",
            },
        ),
        Panel(
            "Objects",
            {
                f"max by (resource) (userproxy_watch_objects{{{NODE}}})": "{{resource}}",
                f"sum by (resource) (userproxy_watch_decode_errors_total{{{NODE}}})": "{{resource}} skipped",
            },
        ),
        Panel(
            "Capture repaired",
            {
                f"sum by (instance) (increase(userproxy_capture_repairs_total{{{NODE}}}[$__rate_interval]))": "{{instance}}"
            },
            "Another program removed rules, routes or addresses.",
        ),
    ),
    "Processes": (
        Panel(
            "CPU of the control process",
            {f"rate(process_cpu_seconds_total{{{NODE}}}[$__rate_interval])": "{{instance}}"},
            unit="percentunit",
        ),
        Panel(
            "Memory of the control process",
            {f"process_resident_memory_bytes{{{NODE}}}": "{{instance}}"},
            unit="bytes",
        ),
        Panel(
            "Workers",
            {
                f"sum by (instance) (userproxy_workers{{{NODE}}})": "{{instance}}",
                "sum by (instance)"
                f" (increase(userproxy_workers_replaced_total{{{NODE}}}[$__rate_interval]))": "{{instance}} replaced",
            },
        ),
        Panel(
            "Accepting rested",
            {
                f"sum by (instance) (increase(userproxy_accept_paused_total{{{NODE}}}[$__rate_interval]))": "{{instance}}"
            },
            "A limit on connections or descriptors was reached.",
        ),
        Panel(
            "Versions",
            {f"count by (version) (userproxy_build_info{{{NODE}}})": "{{version}}"},
        ),
        Panel(
            "Capture in use",
            {f"count by (capture) (userproxy_capture_info{{{NODE}}})": "{{capture}}"},
        ),
    ),
}


def dashboard_text() -> str:
    """Return the dashboard's JSON, to be imported into Grafana or mounted by its sidecar."""
    board = {
        "uid": "userproxy",
        "title": "userproxy",
        "description": f"Kubernetes Services in userspace. Made for userproxy {__version__}.",
        "tags": ["kubernetes", "userproxy"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": list(_variables())},
        "panels": list(_panels()),
    }
    return json.dumps(board, indent=1) + "\n"


def queries() -> list[str]:
    """Return every query of the dashboard, its variables included."""
    return [query for panels in ROWS.values() for panel in panels for query in panel.queries]


def _variables() -> Iterator[Json]:
    yield {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    for name, label, query in (
        ("job", "Job", "label_values(userproxy_build_info, job)"),
        ("instance", "Node", 'label_values(userproxy_build_info{job="$job"}, instance)'),
        (
            "namespace",
            "Namespace",
            'label_values(userproxy_connections_accepted_total{job="$job"}, namespace)',
        ),
        (
            "service",
            "Service",
            'label_values(userproxy_connections_accepted_total{job="$job", namespace=~"$namespace"}, service)',
        ),
    ):
        many = name != "job"
        yield {
            "name": name,
            "label": label,
            "type": "query",
            "datasource": _source(),
            "query": {"query": query, "refId": name},
            "refresh": 2,
            "sort": 1,
            "multi": many,
            "includeAll": many,
            **({"allValue": ".*", "current": {"text": "All", "value": "$__all"}} if many else {}),
        }


def _panels() -> Iterator[Json]:
    number, top = 1, 0
    for title, panels in ROWS.items():
        yield {
            "id": number,
            "type": "row",
            "title": title,
            "collapsed": False,
            "panels": [],
            "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1},
        }
        number, top, left = number + 1, top + 1, 0
        height = 4 if panels[0].kind == "stat" else 8
        for panel in panels:
            if left + panel.width > WIDTH:
                left, top = 0, top + height
            place = {"x": left, "y": top, "w": panel.width, "h": height}
            yield _panel(panel, number, place)
            number, left = number + 1, left + panel.width
        top += height


def _panel(panel: Panel, number: int, place: dict[str, int]) -> Json:
    steps = [{"color": "green", "value": None}]
    if panel.alarm is not None:
        steps.append({"color": "red", "value": panel.alarm})  # type: ignore[dict-item]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": _source(),
        "gridPos": place,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "options": {} if panel.kind == "stat" else {"tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": _source(), "expr": query, "legendFormat": legend}
            for place, (query, legend) in enumerate(panel.queries.items())
        ],
    }


def _source() -> Json:
    return {"type": "prometheus", "uid": "${datasource}"}
