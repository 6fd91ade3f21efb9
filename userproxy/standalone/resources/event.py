"""Events: shape and checks. Whoever wants to tell something about an object writes one; nobody acts on them here.

Sources: `pkg/apis/core/validation/events.go`, `pkg/registry/core/event/strategy.go`.
"""

from __future__ import annotations

from collections.abc import Callable

from userproxy.standalone.objects import Json
from userproxy.standalone.resources.metadata import TARGET_REF, check_metadata, top_level
from userproxy.standalone.schema import INT32, STRING, TIME, always, struct
from userproxy.standalone.statuses import Cause, invalid

SHAPE = top_level(
    "Event",
    "Something that happened to an object; kept for an hour after it was last told.",
    involvedObject=always(TARGET_REF),
    reason=STRING,
    message=STRING,
    source=always(struct("EventSource", component=STRING, host=STRING)),
    firstTimestamp=always(TIME),
    lastTimestamp=always(TIME),
    count=INT32,
    type=STRING,
    eventTime=always(TIME),
    series=struct("EventSeries", count=INT32, lastObservedTime=TIME),
    action=STRING,
    related=TARGET_REF,
    reportingComponent=always(STRING),
    reportingInstance=always(STRING),
)

_OBJECT_FIELDS = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


def _of_object(field: str) -> Callable[[Json], str]:
    return lambda item: str(item["involvedObject"].get(field, ""))


SELECTABLE: dict[str, Callable[[Json], str]] = {
    **{f"involvedObject.{field}": _of_object(field) for field in _OBJECT_FIELDS},
    "reason": lambda item: str(item.get("reason", "")),
    "reportingComponent": lambda item: str(item.get("reportingComponent", "")),
    "source": lambda item: str(item["source"].get("component") or item.get("reportingComponent", "")),
    "type": lambda item: str(item.get("type", "")),
}
"""Fields of events that field selectors may name, besides those of the metadata."""


def check(item: Json) -> list[Cause]:
    """Return every fault of an event."""
    causes = check_metadata(item["metadata"], label_name=False)
    namespace = item["involvedObject"].get("namespace", "")
    if namespace and namespace != item["metadata"]["namespace"]:
        causes.append(invalid("involvedObject.namespace", namespace, "does not match event.namespace"))
    return causes
