"""A cluster for one node: an API server in a process of its own, and endpoints in Pods.

Owns the two processes and the objects in the API server. The proxy is `tests.e2e.agent`'s, the network `tests.netns`'s.
"""

from __future__ import annotations

import json
import socket
from typing import Any

from tests.e2e.child import Child
from tests.kube.objects import endpoint_slice, node, service
from tests.netns import Namespace

NODE_NAME = "e2e-node"
CLUSTER_IP = "10.96.163.26"
PORT = 80
ENDPOINT_PORT = 8080

Endpoint = dict[str, Any]


def endpoint(
    address: str, *, ready: bool = True, serving: bool = True, terminating: bool = False
) -> Endpoint:
    """An entry of an EndpointSlice."""
    conditions = {"ready": ready, "serving": serving, "terminating": terminating}
    return {"addresses": [address], "conditions": conditions}


class Cluster:
    """An API server on loopback of `namespace`. Writes return when the server has them."""

    def __init__(self, namespace: Namespace) -> None:
        self._server = Child(namespace, "tests.e2e.api_server")
        self.put("nodes", node(NODE_NAME))
        self.url: str = self._server.ask("url")

    def put_service(
        self, name: str, ip: str = CLUSTER_IP, *, annotations: dict[str, str] | None = None, port: int = PORT
    ) -> None:
        """Create or replace a Service of namespace default."""
        item = service(name, ip, ports=[{"port": port, "protocol": "TCP", "targetPort": ENDPOINT_PORT}])
        item["metadata"]["annotations"] = annotations or {}
        self.put("services", item)

    def put_slice(self, owner: str, *endpoints: str | Endpoint, port: int = ENDPOINT_PORT) -> None:
        """Create or replace the EndpointSlice of a Service; a plain address is a ready endpoint."""
        entries = [endpoint(one) if isinstance(one, str) else one for one in endpoints]
        self.put("endpointslices", endpoint_slice(f"{owner}-1", owner, port=port, endpoints=entries))

    def delete(self, resource: str, name: str) -> None:
        """Delete an object of namespace default."""
        self._server.ask("delete", resource=resource, namespace="default", name=name)

    def stop(self) -> None:
        """End the server as a kill would: all connections are cut, new ones refused."""
        self._server.ask("stop")

    def start(self) -> None:
        """Start the server again, with what was written before and meanwhile."""
        self._server.ask("start")

    def close(self) -> None:
        """End the process."""
        self._server.close()

    def put(self, resource: str, item: dict[str, Any]) -> None:
        """Create or replace any object."""
        self._server.ask("put", resource=resource, item=item)


class Backends:
    """Endpoints that answer with their names, one for each of `places`: name, namespace and address."""

    def __init__(self, places: dict[str, tuple[Namespace, str]], home: Namespace) -> None:
        listeners: dict[str, socket.socket] = {}
        try:
            for name, (namespace, address) in places.items():
                with namespace.entered():
                    listeners[name] = socket.create_server((address, ENDPOINT_PORT), backlog=4096)
            numbers = {name: listener.fileno() for name, listener in listeners.items()}
            self._child = Child(
                home, "tests.e2e.backends", json.dumps(numbers), descriptors=tuple(numbers.values())
            )
        finally:
            for listener in listeners.values():
                listener.close()

    def counts(self) -> dict[str, int]:
        """Return how many connections each took so far."""
        answer: dict[str, int] = self._child.ask("counts")
        return answer

    def close(self) -> None:
        """End the process."""
        self._child.close()
