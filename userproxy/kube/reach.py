"""How a Service is reached beside its ClusterIP, from the API server's object.

Owns the meaning of these fields for one Service (reference rows 1.2.5 to 1.2.10, 1.4.3, 1.5.x, 1.7.x). Bad parts are left out
and named in a warning. What follows from the policies is `core.policy`'s work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypedDict

from userproxy.core.networks import canonical_network
from userproxy.kube import wire
from userproxy.kube.addresses import quoted, usable_address
from userproxy.model import Family

AFFINITY_SECONDS = 10800
"""SetDefaults_Service"""
MOST_AFFINITY_SECONDS = 86400


class Reach(TypedDict):
    """The fields of model.Service that this module fills."""

    external_ips: tuple[str, ...]
    load_balancer_ips: tuple[str, ...]
    source_ranges: tuple[str, ...]
    internal_local: bool
    external_local: bool
    health_check_node_port: int


def reach_of(item: wire.ServiceWire, who: str, warnings: list[str]) -> Reach:
    """Return how the Service is reached; warnings are added to `warnings`, beginning with `who`."""
    spec = item.spec
    external_ips = tuple(_addresses(spec.external_ips or (), "external IP", who, warnings))
    balancer = item.status.load_balancer
    vips = [
        ingress.ip
        for ingress in (balancer.ingress if balancer else None) or ()
        if ingress.ip and ingress.ip_mode in (None, "", "VIP")
    ]
    # Row 1.4.3: where nothing outside can reach it, the policy has no meaning.
    external = spec.type in ("NodePort", "LoadBalancer") or bool(external_ips)
    external_local = external and spec.external_policy == "Local"
    check = spec.health_check_node_port or 0 if external_local and spec.type == "LoadBalancer" else 0
    if not 0 <= check < 65536:
        warnings.append(f"{who}: healthCheckNodePort {check} is not in 1..65535; not served")
        check = 0
    return Reach(
        external_ips=external_ips,
        load_balancer_ips=tuple(_addresses(vips, "load-balancer address", who, warnings)),
        source_ranges=tuple(_networks(spec.source_ranges or (), who, warnings)),
        internal_local=spec.internal_policy == "Local",
        external_local=external_local,
        health_check_node_port=check,
    )


def affinity_seconds(spec: wire.ServiceSpec) -> int:
    """Return how long a client is remembered, 0 without session affinity; bounded as the API server bounds it (row 1.5.2)."""
    if spec.affinity != "ClientIP":
        return 0
    config = spec.affinity_config.client_ip if spec.affinity_config else None
    seconds = config.seconds if config and config.seconds is not None else AFFINITY_SECONDS
    return min(max(seconds, 1), MOST_AFFINITY_SECONDS)


def _addresses(texts: Iterable[str], what: str, who: str, warnings: list[str]) -> Iterator[str]:
    for text in texts:
        address = usable_address(text, Family.IPV6 if ":" in text else Family.IPV4)
        if address is None:
            warnings.append(f"{who}: {what} {quoted(text)} is not a valid IP address; skipped")
        else:
            yield address


def _networks(texts: Iterable[str], who: str, warnings: list[str]) -> Iterator[str]:
    for text in texts:
        network = canonical_network(text)
        if network is None:
            warnings.append(
                f"{who}: loadBalancerSourceRanges: {quoted(text)} is not a network; skipped (write 10.0.0.0/8)"
            )
        else:
            yield network
