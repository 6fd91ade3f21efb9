"""What a plan changes for Service ports, as events: endpoints that come and go, and the verdict that clients meet.

Owns what is worth an event and its words. In drop and reject no connection ever reaches this process, so the change to that
verdict is all there is to see of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from userproxy.core.addresses import address_text
from userproxy.core.events import ChangeEvent, change_event
from userproxy.core.plan import Plan, Running, Serving
from userproxy.core.policy import Verdict
from userproxy.model import PortKey

MANY_PORTS = 200
"""Service ports that change at once beyond which only their number is told."""
MANY_ENDPOINTS = 20
"""Endpoints of one Service port that change at once beyond which only their number is told."""

_VERDICTS = {
    Verdict.CARRY: "connections are carried from now on",
    Verdict.DROP: "no usable endpoint: connections are dropped in the kernel from now on",
    Verdict.REJECT: "no usable endpoint: connections are refused by the kernel from now on",
}


class Change(msgspec.Struct, frozen=True):
    """A `ChangeEvent` in the making; `at` is in seconds of the monotonic clock."""

    at: float
    kind: str
    message: str
    key: PortKey | None = None
    endpoint: str = ""
    verdict: str = ""

    def event(self, time: datetime) -> ChangeEvent:
        """Return the event, which happened at `time`."""
        return change_event(self.kind, self.message, time, self.key, self.endpoint, self.verdict)


def service_changes(running: Running, plan: Plan, at: float) -> Iterator[Change]:
    """Yield what `plan` changes of `running`, which does not include it yet."""
    if len(plan.serve) + len(plan.forget) > MANY_PORTS:
        yield Change(at, "services", f"{len(plan.serve)} Service ports changed, {len(plan.forget)} removed")
        return
    for key in plan.forget:
        yield Change(at, "service-removed", "Service port removed", key)
    for serving in plan.serve:
        before = running.ports.get(serving.key)
        if before is None:
            yield _added(serving, at)
        else:
            yield from _changed(before.serving, serving, at)


def _added(serving: Serving, at: float) -> Change:
    count = len(serving.cluster)
    text = f"Service port added, {count} usable endpoint{'' if count == 1 else 's'}"
    return Change(at, "service-added", text, serving.key, verdict=serving.verdict.value)


def _changed(before: Serving, after: Serving, at: float) -> Iterator[Change]:
    usable = f"{len(after.cluster)} usable"
    old, new = dict.fromkeys(before.cluster), dict.fromkeys(after.cluster)
    added = [address_text(one) for one in new if one not in old]
    removed = [address_text(one) for one in old if one not in new]
    if len(added) + len(removed) > MANY_ENDPOINTS:
        text = f"{len(added)} endpoints added, {len(removed)} removed, {usable}"
        yield Change(at, "endpoints", text, after.key)
    else:
        for one in removed:
            yield Change(at, "endpoint-removed", f"endpoint {one} removed, {usable}", after.key, one)
        for one in added:
            yield Change(at, "endpoint-added", f"endpoint {one} added, {usable}", after.key, one)
    if before.verdict is not after.verdict:
        yield Change(at, "verdict", _VERDICTS[after.verdict], after.key, verdict=after.verdict.value)
