"""Results of probes as readiness of containers, and readiness of containers as conditions of a Pod.

Pure. Source: `pkg/kubelet/prober/worker.go` (thresholds), `pkg/kubelet/status/generate.go` (conditions).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from userproxy.standalone.objects import Json
from userproxy.standalone.probes.declared import Probe

READY, CONTAINERS_READY = "Ready", "ContainersReady"


class Verdict(msgspec.Struct):
    """Readiness of one container: not ready until as many successes in a row as the probe asks for."""

    ready: bool = False
    last: bool | None = None
    in_a_row: int = 0

    def take(self, probe: Probe, *, success: bool) -> None:
        """Count one result."""
        self.in_a_row = self.in_a_row + 1 if success == self.last else 1
        self.last = success
        if self.in_a_row >= (probe.successes if success else probe.failures):
            self.ready = success


def conditions(pod: Json, ready: Mapping[str, bool], troubles: Mapping[str, str], now: str) -> list[Json]:
    """Return the conditions of a Pod whose probed containers are `ready` or not.

    `troubles` are probes that cannot be run, by container; such a container is not ready. `now` is RFC 3339. A condition
    keeps its time while its status stays. Readiness gates (KEP-580) hold back Ready alone.
    """
    before = {condition["type"]: condition for condition in pod["status"].get("conditions", [])}
    unready = sorted({name for name, is_ready in ready.items() if not is_ready} | set(troubles))
    reason, message = "", ""
    if unready:
        reason = "ProbeNotSupported" if troubles else "ContainersNotReady"
        message = f"containers with unready status: [{' '.join(unready)}]"
        if troubles:
            message += "".join(f"; {name}: {trouble}" for name, trouble in sorted(troubles.items()))
    made = {CONTAINERS_READY: _condition(CONTAINERS_READY, not unready, reason, message)}
    declared = pod["spec"].get("readinessGates") or []
    gates = [str(gate.get("conditionType", "")) for gate in declared if isinstance(gate, dict)]
    missing = [gate for gate in gates if before.get(gate, {}).get("status") != "True"]
    if missing and not unready:
        reason = "ReadinessGatesNotReady"
        message = f"the status of pod readiness gate {missing[0]!r} is not True"
    made[READY] = _condition(READY, not unready and not missing, reason, message)
    for kind, condition in made.items():
        old = before.get(kind, {})
        same = old.get("status") == condition["status"] and old.get("lastTransitionTime")
        condition["lastTransitionTime"] = old["lastTransitionTime"] if same else now
        # in the order of the wire
        for field in ("reason", "message"):
            if field in condition:
                condition[field] = condition.pop(field)
    others = [condition for kind, condition in before.items() if kind not in made]
    return [*others, made[READY], made[CONTAINERS_READY]]


def _condition(kind: str, status: bool, reason: str, message: str) -> Json:
    condition: Json = {"type": kind, "status": str(status), "lastProbeTime": None}
    if reason:
        condition |= {"reason": reason, "message": message}
    return condition
