"""healthCheckNodePort as a load balancer sees it (reference rows 1.9.2 to 1.9.10)."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from userproxy.admin.health_checks import HealthCheckServers
from userproxy.core.health_checks import HealthCheck
from userproxy.model import Family, ServiceName

SERVICE = ServiceName("default", "web")


class Healthy:
    value = True

    def __call__(self) -> bool:
        return self.value


@asynccontextmanager
async def servers(healthy: Healthy | None = None) -> AsyncIterator[HealthCheckServers]:
    made = HealthCheckServers(healthy or Healthy())
    try:
        yield made
    finally:
        await made.stop()


def check(
    port: int, endpoints: int, family: Family = Family.IPV4, addresses: tuple[str, ...] = ("127.0.0.1",)
) -> HealthCheck:
    return HealthCheck(SERVICE, family, port, addresses, endpoints)


async def ask(
    port: int, method: str = "GET", path: str = "/", host: str = "127.0.0.1"
) -> tuple[int, str, str]:
    url = f"http://{host}:{port}{path}"
    async with aiohttp.ClientSession() as session, session.request(method, url) as answer:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.content_type == "application/json"
        return answer.status, answer.headers["X-Load-Balancing-Endpoint-Weight"], await answer.text()


@pytest.mark.parametrize("row", ["1.9.3", "1.9.4", "1.9.5", "1.9.6"])
async def test_with_local_endpoints(row: str, free_port: int) -> None:
    async with servers() as made:
        assert await made.show({SERVICE: [check(free_port, 2)]}) == {}
        method, path = ("POST", "/any/path") if row == "1.9.3" else ("GET", "/healthz")
        status, weight, text = await ask(free_port, method, path)
    assert (status, weight) == (200, "2")
    wanted = {
        "service": {"namespace": "default", "name": "web"},
        "localEndpoints": 2,
        "serviceProxyHealthy": True,
    }
    assert text == json.dumps(wanted, indent="\t")


async def test_row_1_9_8_without_local_endpoints_or_health_it_fails(free_port: int) -> None:
    healthy = Healthy()
    async with servers(healthy) as made:
        await made.show({SERVICE: [check(free_port, 0)]})
        assert (await ask(free_port))[:2] == (503, "0")
        healthy.value = False
        await made.show({SERVICE: [check(free_port, 3)]})
        status, weight, text = await ask(free_port)
        assert (status, weight, json.loads(text)["serviceProxyHealthy"]) == (503, "3", False)


async def test_both_families_answer_for_themselves_on_one_port(free_port: int) -> None:
    async with servers() as made:
        four = check(free_port, 1, addresses=("0.0.0.0",))
        six = check(free_port, 0, Family.IPV6, ("::",))
        assert await made.show({SERVICE: [four, six]}) == {}
        assert (await ask(free_port))[0] == 200
        assert (await ask(free_port, host="[::1]"))[0] == 503


async def test_a_taken_port_is_named_and_opened_once_it_is_free(free_port: int) -> None:
    async with servers() as made:
        wanted = check(free_port, 1)
        with socket.create_server(("127.0.0.1", free_port)):
            failures = await made.show({SERVICE: [wanted]})
            assert list(failures) == [wanted]
            assert "healthCheckNodePort of Service default/web: cannot listen" in failures[wanted]
        assert await made.show({SERVICE: [wanted]}) == {}
        assert (await ask(free_port))[0] == 200


async def test_row_1_9_10_a_check_that_is_gone_answers_no_more(free_port: int) -> None:
    async with servers() as made:
        await made.show({SERVICE: [check(free_port, 1)]})
        await made.show({SERVICE: []})
        with pytest.raises(aiohttp.ClientConnectorError):
            await ask(free_port)


async def test_only_the_services_named_change_and_a_port_goes_from_one_to_another(free_port: int) -> None:
    other = ServiceName("default", "other")
    async with servers() as made:
        await made.show({SERVICE: [check(free_port, 1)]})
        assert await made.show({other: ()}) == {}
        assert (await ask(free_port))[:2] == (200, "1")
        taking_over = HealthCheck(other, Family.IPV4, free_port, ("127.0.0.1",), 5)
        assert await made.show({other: [taking_over], SERVICE: ()}) == {}
        assert (await ask(free_port))[:2] == (200, "5")


async def test_one_address_that_is_taken_does_not_keep_the_others_shut(free_port: int) -> None:
    async with servers() as made:
        wanted = check(free_port, 1, addresses=("127.0.0.1", "127.0.0.2"))
        with socket.create_server(("127.0.0.1", free_port)):
            assert list(await made.show({SERVICE: [wanted]})) == [wanted]
            assert (await ask(free_port, host="127.0.0.2"))[0] == 200
