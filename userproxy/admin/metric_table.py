"""Every metric of this program: name, type, labels and help.

Owns `METRICS`, the one table of them, which documentation is checked against. How values are read is `admin.exporter`'s work.
The `process_*` metrics are prometheus_client's own and not in the table.
"""

from __future__ import annotations

from typing import NamedTuple


class MetricSpec(NamedTuple):
    """One metric: the name as scraped, its type, its labels in order, and its help text."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str


_PORT = ("namespace", "service", "port", "protocol", "ip_family")
_SYNC = "kubeproxy_sync_proxy_rules"

METRICS: tuple[MetricSpec, ...] = (
    MetricSpec(
        "userproxy_connections_accepted_total",
        "counter",
        _PORT,
        "Connections taken from the kernel. The other metrics of a Service port begin with its first connection.",
    ),
    MetricSpec("userproxy_connections_active", "gauge", _PORT, "Connections open now."),
    MetricSpec(
        "userproxy_connections_carried_total", "counter", _PORT, "Connections that reached an endpoint."
    ),
    MetricSpec(
        "userproxy_connections_failed_total",
        "counter",
        _PORT,
        "Connections ended with RST because every dial failed or no endpoint was usable.",
    ),
    MetricSpec(
        "userproxy_direct_refused_total",
        "counter",
        _PORT,
        "Connections to a listener's own address that no capture rule brought, refused.",
    ),
    MetricSpec(
        "userproxy_accept_paused_total",
        "counter",
        _PORT,
        "Times that accepting rested because a limit on connections or descriptors was reached.",
    ),
    MetricSpec(
        "userproxy_dials_failed_total",
        "counter",
        (*_PORT, "reason"),
        "Failed dials to endpoints by reason: refused, unreachable, timeout, other.",
    ),
    MetricSpec(
        "userproxy_dial_retries_total", "counter", _PORT, "Dials after the first one of a connection."
    ),
    MetricSpec(
        "userproxy_ejections_total",
        "counter",
        _PORT,
        "Times that a worker ejected an endpoint because its dials kept failing.",
    ),
    MetricSpec(
        "userproxy_endpoints_ejected",
        "gauge",
        _PORT,
        "Endpoints ejected now, added up over workers: each judges for itself.",
    ),
    MetricSpec(
        "userproxy_bytes_total",
        "counter",
        (*_PORT, "direction"),
        "Bytes relayed: received from clients, sent to clients.",
    ),
    MetricSpec(
        "userproxy_dial_seconds", "histogram", _PORT, "Time of successful dials to endpoints in seconds."
    ),
    MetricSpec(
        "userproxy_udp_flows_total",
        "counter",
        _PORT,
        "UDP flows begun; a flow is what one client address sends.",
    ),
    MetricSpec("userproxy_udp_flows_active", "gauge", _PORT, "UDP flows that are not idle for too long yet."),
    MetricSpec("userproxy_udp_flows_answered_total", "counter", _PORT, "UDP flows that had an answer."),
    MetricSpec(
        "userproxy_udp_flows_moved_total",
        "counter",
        _PORT,
        "Times that a UDP flow took another endpoint because one failed.",
    ),
    MetricSpec(
        "userproxy_udp_flows_evicted_total",
        "counter",
        _PORT,
        "UDP flows ended before their time because the limit on flows was reached.",
    ),
    MetricSpec(
        "userproxy_udp_datagrams_total",
        "counter",
        (*_PORT, "direction"),
        "Datagrams: received from clients, sent to clients.",
    ),
    MetricSpec(
        "userproxy_udp_datagrams_lost_total",
        "counter",
        (*_PORT, "reason"),
        "Datagrams not passed on by reason: no_endpoint, refused, unreachable, buffer, too_long, no_socket, other.",
    ),
    MetricSpec(
        "userproxy_no_endpoints_listeners",
        "gauge",
        (*_PORT, "action"),
        "Listeners of Service ports without a usable endpoint, by what clients meet: drop, reject.",
    ),
    MetricSpec(
        "userproxy_watch_connected", "gauge", ("resource",), "Whether the watch of a resource is connected."
    ),
    MetricSpec(
        "userproxy_watch_last_event_age_seconds",
        "gauge",
        ("resource",),
        "Seconds since the last event or bookmark of a watch; absent before the first one.",
    ),
    MetricSpec("userproxy_watch_objects", "gauge", ("resource",), "Objects held from a watch."),
    MetricSpec(
        "userproxy_watch_restarts_total", "counter", ("resource", "reason"), "Restarts of a watch by reason."
    ),
    MetricSpec("userproxy_watch_relists_total", "counter", ("resource",), "Full lists after the first one."),
    MetricSpec(
        "userproxy_watch_decode_errors_total",
        "counter",
        ("resource",),
        "Objects skipped because they could not be decoded.",
    ),
    MetricSpec("userproxy_workers", "gauge", (), "Worker processes that run; 0: one process does all."),
    MetricSpec(
        "userproxy_workers_replaced_total", "counter", (), "Workers that died or hung and were replaced."
    ),
    MetricSpec(
        "userproxy_affinity_clients",
        "gauge",
        (),
        "Clients that session affinity remembers; at --affinity-clients the oldest are forgotten.",
    ),
    MetricSpec("userproxy_capture_info", "info", ("capture", "detail"), "The capture in use."),
    MetricSpec(
        "userproxy_capture_repairs_total",
        "counter",
        (),
        "Times that rules, routes or addresses removed by others were put back.",
    ),
    MetricSpec(
        "userproxy_events_total",
        "counter",
        (),
        "Events kept: changes always, connections while somebody follows.",
    ),
    MetricSpec(
        "userproxy_events_lost_total",
        "counter",
        (),
        "Events that came faster than they could be kept or read.",
    ),
    MetricSpec("userproxy_event_readers", "gauge", (), "Clients that follow events or the live page now."),
    MetricSpec("userproxy_build_info", "info", ("version", "python"), "Versions of userproxy and of Python."),
    MetricSpec(f"{_SYNC}_duration_seconds", "histogram", (), "Time to apply one plan, both IP families."),
    MetricSpec(
        f"{_SYNC}_last_timestamp_seconds", "gauge", (), "Unix time of the last plan applied; 0 before."
    ),
    MetricSpec(
        f"{_SYNC}_last_queued_timestamp_seconds",
        "gauge",
        (),
        "Unix time of the last change that had to be applied; 0 before.",
    ),
    MetricSpec(f"{_SYNC}_service_changes_total", "counter", (), "Changes of Services received."),
    MetricSpec(f"{_SYNC}_service_changes_pending", "gauge", (), "Changes of Services not applied yet."),
    MetricSpec(f"{_SYNC}_endpoint_changes_total", "counter", (), "Changes of EndpointSlices received."),
    MetricSpec(
        f"{_SYNC}_endpoint_changes_pending", "gauge", (), "Changes of EndpointSlices not applied yet."
    ),
    MetricSpec("kubeproxy_proxy_healthz_total", "counter", ("code",), "Answers of /healthz by status code."),
    MetricSpec("kubeproxy_proxy_livez_total", "counter", ("code",), "Answers of /livez by status code."),
)
