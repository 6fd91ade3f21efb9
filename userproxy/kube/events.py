"""Events: what went wrong with a Service, told where `kubectl describe service` shows it.

Owns the making and sending of Events (core/v1, as client-go's recorder makes them) and the bounds on them. What is worth an
Event is decided by whoever calls `warn`. An Event that cannot be sent is dropped: it is a courtesy, the log has the same words.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any

import msgspec

from userproxy.kube.client import ApiClient
from userproxy.kube.failures import RequestFailed
from userproxy.model import ServiceName

log = logging.getLogger(__name__)

COMPONENT = "userproxy"
MOST_WAITING = 100
MOST_REMEMBERED = 1000
REPEAT_SECONDS = 600.0
"""The same words about the same Service are sent again after this time only."""
MESSAGE_BYTES = 1024
"""the API server's limit on an Event's message"""


class EventRecorder:
    """Sends warnings about Services. `warn` never waits; `run` sends until cancelled."""

    def __init__(self, client: ApiClient, host: str) -> None:
        self._client = client
        self._host = host
        self._waiting: asyncio.Queue[tuple[ServiceName, str, str]] = asyncio.Queue(MOST_WAITING)
        self._sent: OrderedDict[tuple[ServiceName, str, str], float] = OrderedDict()
        self.dropped = 0

    def warn(self, service: ServiceName, reason: str, message: str) -> None:
        """Tell of something that is wrong with `service`; `reason` is one CamelCase word."""
        event = (service, reason, message)
        now = time.monotonic()
        if now - self._sent.get(event, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return
        self._sent[event] = now
        self._sent.move_to_end(event)
        if len(self._sent) > MOST_REMEMBERED:
            self._sent.popitem(last=False)
        try:
            self._waiting.put_nowait(event)
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self) -> None:
        """Send what `warn` was told."""
        while True:
            service, reason, message = await self._waiting.get()
            try:
                await self._send(service, reason, message)
            except RequestFailed as error:
                self.dropped += 1
                log.debug("event %s for Service %s was not taken: %s", reason, service, error)

    async def _send(self, service: ServiceName, reason: str, message: str) -> None:
        # kubectl finds Events by the uid of their object, which nothing else here needs. A list of one needs no other right.
        path = f"/api/v1/namespaces/{service.namespace}"
        query = {"fieldSelector": f"metadata.name={service.name}"}
        found = await self._client.fetch(f"{path}/services", query, f"list Service {service}")
        items = msgspec.json.decode(found).get("items") or [{}]
        event = event_object(
            service, items[0].get("metadata", {}), reason, message, self._host, datetime.now(UTC)
        )
        await self._client.create(f"{path}/events", event, f"create an Event for Service {service}")


def event_object(
    service: ServiceName, metadata: dict[str, Any], reason: str, message: str, host: str, now: datetime
) -> dict[str, Any]:
    """Return the Event as JSON object; `metadata` is the Service's."""
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{service.name[:220]}.{int(now.timestamp() * 1e9):x}",
            "namespace": service.namespace,
        },
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Service",
            "namespace": service.namespace,
            "name": service.name,
            "uid": metadata.get("uid", ""),
            "resourceVersion": metadata.get("resourceVersion", ""),
        },
        "type": "Warning",
        "reason": reason,
        "message": message.encode()[:MESSAGE_BYTES].decode(errors="ignore"),
        "source": {"component": COMPONENT, "host": host},
        "reportingComponent": COMPONENT,
        "reportingInstance": host,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }
