"""The project's own standalone API server, filled with generated objects. Run as a process.

Owns nothing of the server: it is `userproxy.standalone`'s, without manifests and demo. Objects are stored as they are, without
the checks of a write, so that filling it takes seconds. It cannot be made to forget its past, so nobody is made to list again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import uvloop

from tests.benchmarks.control.api_commands import Commands
from tests.benchmarks.control.cluster_objects import NODE, Object, endpoint_slice, first_addresses, service
from userproxy.standalone.kinds import KINDS, Kind
from userproxy.standalone.session import Standalone

SERVICE_CIDR = "10.96.0.0/12"


class StandaloneApi:
    """The store of a session, as `api_commands` wants it."""

    def __init__(self, session: Standalone, services: int, endpoints: int) -> None:
        self.endpoints = endpoints
        self._store = session.registry.store
        self._kinds = {kind.kind: kind for kind in KINDS}
        for number in range(services):
            self.put_service(number)
            self.put_slice(number, first_addresses(number, endpoints))

    def put_service(self, number: int) -> None:
        """Store a Service."""
        self._put(self._kinds["Service"], service(number, 0))

    def put_slice(self, number: int, addresses: Sequence[str]) -> None:
        """Store the slice of a Service."""
        self._put(self._kinds["EndpointSlice"], endpoint_slice(number, addresses, 0))

    def expire(self) -> None:
        """Not to be had here."""
        raise NotImplementedError("the standalone server cannot be made to forget its past")

    def _put(self, kind: Kind, item: Object) -> None:
        self._store.put(kind, {"kind": kind.kind, "apiVersion": kind.api_version, **item})


async def main(services: int, endpoints: int) -> None:
    """Serve until standard input ends."""
    session = Standalone(api_bind_address="127.0.0.1:0", node_name=NODE, service_cidr=SERVICE_CIDR)
    await session.start()
    try:
        await Commands(StandaloneApi(session, services, endpoints)).run({"url": session.url, "bytes": 0})
    finally:
        await session.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--services", type=int, required=True)
    parser.add_argument("--endpoints", type=int, required=True)
    chosen = parser.parse_args()
    uvloop.run(main(chosen.services, chosen.endpoints))
