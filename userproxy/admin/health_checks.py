"""The servers of healthCheckNodePort: a load balancer asks here whether this node has endpoints of a Service.

Owns kube-proxy's wording (SH:hcHandler in v1.36, reference rows 1.9.2 to 1.9.6): any path and method, status, headers, JSON.
What is counted and where it answers is decided in `core.health_checks`; when it changes, in the reconcile loop.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence

from aiohttp import web

from userproxy.admin.server import NOSNIFF, HttpServer, Limits
from userproxy.core.addresses import BindAddress
from userproxy.core.health_checks import HealthCheck
from userproxy.errors import ListenError
from userproxy.model import Family, ServiceName

WEIGHT = "X-Load-Balancing-Endpoint-Weight"

_Place = tuple[Family, str, int]


class HealthCheckServers:
    """One server for each Service, family and address. One writer: the reconcile loop."""

    def __init__(self, proxy_healthy: Callable[[], bool]) -> None:
        self._proxy_healthy = proxy_healthy
        self._counts: dict[ServiceName, dict[Family, int]] = {}
        self._servers: dict[ServiceName, dict[_Place, HttpServer]] = {}

    async def show(self, changed: Mapping[ServiceName, Sequence[HealthCheck]]) -> dict[HealthCheck, str]:
        """Answer for exactly these checks of the Services named, from now on; other Services stay as they are.

        Returns the checks with an address that could not be opened, and why.
        """
        # A port may go from one of these Services to another: all that is to be closed is closed first.
        for service, checks in changed.items():
            self._counts[service] = {check.family: check.endpoints for check in checks}
            servers = self._servers.setdefault(service, {})
            for place in servers.keys() - {place for check in checks for place in _places(check)}:
                await servers.pop(place).stop()
        failures: dict[HealthCheck, str] = {}
        for service, checks in changed.items():
            for check in checks:
                for place in _places(check):
                    try:
                        await self._open(service, place)
                    except ListenError as error:
                        failures[check] = str(error)
            if not checks:
                del self._counts[service], self._servers[service]
        return failures

    async def stop(self) -> None:
        """Close every socket."""
        await self.show(dict.fromkeys(self._servers, ()))

    async def _open(self, service: ServiceName, place: _Place) -> None:
        """Open what is not open yet. Raises ListenError."""
        family, address, port = place
        if place in self._servers[service]:
            return

        async def answer(_: web.BaseRequest) -> web.Response:
            return self._answer(service, family)

        setting = f"healthCheckNodePort of Service {service}"
        server = HttpServer(BindAddress(address, port), setting, answer, Limits(), ipv6_only=True)
        self._servers[service][place] = server
        try:
            await server.start()
        except ListenError:
            del self._servers[service][place]
            raise

    def _answer(self, service: ServiceName, family: Family) -> web.Response:
        count = self._counts.get(service, {}).get(family, 0)
        healthy = self._proxy_healthy()
        body = {
            "service": {"namespace": service.namespace, "name": service.name},
            "localEndpoints": count,
            "serviceProxyHealthy": healthy,
        }
        return web.Response(
            status=200 if count and healthy else 503,
            text=json.dumps(body, indent="\t"),
            content_type="application/json",
            headers={**NOSNIFF, WEIGHT: str(count)},
        )


def _places(check: HealthCheck) -> Iterator[_Place]:
    return ((check.family, address, check.port) for address in check.addresses)
