"""The servers of healthCheckNodePort: a load balancer asks here whether this node has endpoints of a Service.

Owns kube-proxy's wording (SH:hcHandler in v1.36, reference rows 1.9.2 to 1.9.6): any path and method, status, headers, JSON.
What is counted and where it answers is decided in `core.health_checks`; when it changes, in the reconcile loop.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from aiohttp import web

from userproxy.admin.server import NOSNIFF, HttpServer, Limits
from userproxy.core.addresses import BindAddress
from userproxy.core.health_checks import HealthCheck
from userproxy.errors import ListenError
from userproxy.model import Family, ServiceName

WEIGHT = "X-Load-Balancing-Endpoint-Weight"

_Place = tuple[ServiceName, Family, str, int]


class HealthCheckServers:
    """One server for each Service, family and address. One writer: the reconcile loop."""

    def __init__(self, proxy_healthy: Callable[[], bool]) -> None:
        self._proxy_healthy = proxy_healthy
        self._checks: dict[tuple[ServiceName, Family], HealthCheck] = {}
        self._servers: dict[_Place, HttpServer] = {}

    async def show(self, checks: Iterable[HealthCheck]) -> dict[HealthCheck, str]:
        """Answer for exactly `checks` from now on; returns those with an address that could not be opened, and why."""
        self._checks = {(check.service, check.family): check for check in checks}
        wanted = {
            (check.service, check.family, address, check.port): check
            for check in self._checks.values()
            for address in check.addresses
        }
        for place in [place for place in self._servers if place not in wanted]:
            await self._servers.pop(place).stop()
        failures: dict[HealthCheck, str] = {}
        for place, check in wanted.items():
            if place not in self._servers:
                try:
                    await self._open(place)
                except ListenError as error:
                    failures[check] = str(error)
        return failures

    async def stop(self) -> None:
        """Close every socket."""
        await self.show(())

    async def _open(self, place: _Place) -> None:
        service, family, address, port = place

        async def answer(_: web.BaseRequest) -> web.Response:
            return self._answer(service, family)

        setting = f"healthCheckNodePort of Service {service}"
        server = HttpServer(BindAddress(address, port), setting, answer, Limits(), ipv6_only=True)
        await server.start()
        self._servers[place] = server

    def _answer(self, service: ServiceName, family: Family) -> web.Response:
        check = self._checks.get((service, family))
        count = check.endpoints if check else 0
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
