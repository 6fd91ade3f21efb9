"""What is counted about applying plans: how long it took, how many changes came and how many wait.

Owns the counter fields, in the meaning of kube-proxy's `kubeproxy_sync_proxy_rules_*` (MET, v1.36). Written by the reconcile
loop only; knows nothing of Prometheus (`admin.exporter` names and labels them).
"""

from __future__ import annotations

from bisect import bisect_left

import msgspec

SYNC_BUCKETS: tuple[float, ...] = tuple(0.001 * 2**power for power in range(15))
"""Upper bounds in seconds of kube-proxy's sync histogram: 1 ms to 16.4 s."""


class SyncCounters(msgspec.Struct):
    """Counters of the reconcile loop; all but the pending ones only grow."""

    service_changes: int = 0
    """Services added, changed or removed by the API server"""
    endpoint_changes: int = 0
    """EndpointSlices added, changed or removed by the API server"""
    service_changes_pending: int = 0
    """Service changes that no applied plan covers yet"""
    endpoint_changes_pending: int = 0
    """EndpointSlice changes that no applied plan covers yet"""
    seconds: float = 0.0
    """sum of the times that plans took to apply"""
    buckets: list[int] = msgspec.field(default_factory=lambda: [0] * (len(SYNC_BUCKETS) + 1))
    """applied plans by time, not cumulative; the last one is everything above"""

    def observe(self, seconds: float) -> None:
        """Count one applied plan."""
        self.seconds += seconds
        self.buckets[bisect_left(SYNC_BUCKETS, seconds)] += 1
