"""Events: what controllers and the prober tell about an object, for `kubectl describe` and `kubectl events`.

Owns their form and their bounds: the same words about the same object count up in one Event, and one that comes too often is
left out, as in client-go (`tools/record/events_cache.go`). How long Events are kept is `reaping`'s matter. An Event that cannot
be written harms nobody.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from userproxy.standalone.controllers.cluster import Cluster, WriteFailed
from userproxy.standalone.kinds import EVENT
from userproxy.standalone.objects import Json, timestamp

log = logging.getLogger(__name__)

BURST, REFILL_SECONDS = 25, 300.0
"""Events about one object that may come at once, and the time after which one more may come."""
_MOST_KNOWN = 4096
"""Objects and Events remembered, as in client-go; older ones begin anew."""
_LONGEST_MESSAGE = 1024
"""Characters of a message, as a real server bounds it."""


class Notice(msgspec.Struct, frozen=True):
    """Something to tell about an object. `field` is the part of it that is meant, such as `spec.containers{web}`."""

    about: Json
    reason: str
    message: str
    warning: bool = True
    field: str = ""


class _Budget(msgspec.Struct):
    tokens: float
    since: float


class Bounds:
    """Decides which notices may become an Event: a bucket of BURST for each object. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._budgets: OrderedDict[str, _Budget] = OrderedDict()

    def allows(self, uid: str, now: float) -> bool:
        """Take one from the budget of the object with a uid; return whether there was one."""
        budget = self._budgets.pop(uid, None) or _Budget(BURST, now)
        self._budgets[uid] = budget
        if len(self._budgets) > _MOST_KNOWN:
            self._budgets.popitem(last=False)
        budget.tokens = min(BURST, budget.tokens + (now - budget.since) / REFILL_SECONDS)
        budget.since = now
        if budget.tokens < 1:
            return False
        budget.tokens -= 1
        return True


class Recorder:
    """Writes notices as Events of one component; `host` is the node it speaks for, empty for none."""

    def __init__(
        self,
        cluster: Cluster,
        component: str,
        host: str = "",
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._cluster = cluster
        self._source = {"component": component, "host": host} if host else {"component": component}
        self._clock = clock
        self._now = now
        self._bounds = Bounds()
        self._known: OrderedDict[tuple[str, ...], Json] = OrderedDict()

    async def record(self, notice: Notice) -> None:
        """Write one notice, or count it up in the Event that says the same already."""
        about = notice.about["metadata"]
        key = (about["uid"], notice.field, notice.reason, notice.message)
        if not self._bounds.allows(about["uid"], self._clock()):
            return
        known = self._known.pop(key, None)
        try:
            try:
                stored = await self._write(notice, known)
            except WriteFailed:
                if known is None:
                    raise
                # the one that was counted is gone, or was changed by somebody else
                stored = await self._write(notice, None)
        except WriteFailed as fault:
            log.debug("event %s about %s is lost: %s", notice.reason, about["name"], fault)
            return
        self._known[key] = stored
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)

    async def _write(self, notice: Notice, known: Json | None) -> Json:
        moment = self._now()
        if known is not None:
            bumped = {**known, "count": known.get("count", 1) + 1, "lastTimestamp": timestamp(moment)}
            return await self._cluster.replace(EVENT, bumped)
        return await self._cluster.create(EVENT, self._event(notice, moment))

    def _event(self, notice: Notice, moment: float) -> Json:
        about = notice.about
        metadata = about["metadata"]
        namespace = metadata.get("namespace", "default")
        reference = {
            "kind": about["kind"],
            "namespace": metadata.get("namespace", ""),
            "name": metadata["name"],
            "uid": metadata["uid"],
            "apiVersion": about["apiVersion"],
            "resourceVersion": metadata["resourceVersion"],
            "fieldPath": notice.field,
        }
        return {
            "kind": EVENT.kind,
            "apiVersion": EVENT.api_version,
            "metadata": {
                "name": f"{metadata['name'][:230]}.{int(moment * 1e9):x}",
                "namespace": namespace,
            },
            "involvedObject": {field: value for field, value in reference.items() if value},
            "reason": notice.reason,
            "message": notice.message[:_LONGEST_MESSAGE],
            "source": self._source,
            "firstTimestamp": timestamp(moment),
            "lastTimestamp": timestamp(moment),
            "count": 1,
            "type": "Warning" if notice.warning else "Normal",
            "eventTime": None,
            "reportingComponent": self._source["component"],
            "reportingInstance": self._source.get("host", ""),
        }
