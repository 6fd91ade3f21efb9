"""The token: who is refused, with the recorded words of a real server, and what needs none."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.standalone.conftest import SERVICES, SLICES, Client, service
from userproxy.standalone.addresses import ServiceAddresses, parse_service_cidr
from userproxy.standalone.registry import Registry
from userproxy.standalone.server import ApiServer, open_listener
from userproxy.standalone.store import MemoryStore

TOKEN = "correct-horse-battery-staple"
USER = 'User "system:anonymous" cannot'


@pytest.fixture
async def guarded() -> AsyncIterator[Client]:
    store = MemoryStore()
    registry = Registry(store, ServiceAddresses(store, parse_service_cidr("10.96.0.0/16")))
    registry.create_initial_objects()
    server = ApiServer(registry, open_listener("127.0.0.1:0"), token=TOKEN)
    await server.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Client(session, server, registry)
    finally:
        await server.stop()


async def test_the_token_opens_everything(guarded: Client) -> None:
    for scheme in ("Bearer", "bearer"):
        status, _answer = await guarded.call("GET", SERVICES, Authorization=f"{scheme} {TOKEN}")
        assert status == 200
    assert (await guarded.call("POST", SERVICES, service("a"), Authorization=f"Bearer {TOKEN}"))[0] == 201


@pytest.mark.parametrize("token", ["wrong", "", TOKEN[:-1], TOKEN + "x", f"{TOKEN} {TOKEN}", "\xe4"])
async def test_a_wrong_token_is_401(guarded: Client, token: str) -> None:
    status, answer = await guarded.call("GET", SERVICES, Authorization=f"Bearer {token}")
    expected = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    assert (status, answer) == (
        401,
        {**expected, "message": "Unauthorized", "reason": "Unauthorized", "code": 401},
    )


@pytest.mark.parametrize("header", ["", "Basic dXNlcjpwYXNz", TOKEN, "Bearer"])
async def test_without_a_token_it_is_403(guarded: Client, header: str) -> None:
    headers = {"Authorization": header} if header else {}
    status, answer = await guarded.call("GET", SERVICES, **headers)
    if header == "Bearer":
        assert status == 401
        return
    assert (status, answer["reason"], answer["details"]) == (403, "Forbidden", {"kind": "services"})
    where = 'resource "services" in API group "" in the namespace "default"'
    assert answer["message"] == f"services is forbidden: {USER} list {where}"


@pytest.mark.parametrize(
    ("method", "path", "says", "details"),
    [
        (
            "GET",
            f"{SERVICES}/my-service",
            (
                f'services "my-service" is forbidden: {USER} get resource "services" in API group "" '
                'in the namespace "default"'
            ),
            {"name": "my-service", "kind": "services"},
        ),
        (
            "GET",
            "/apis/discovery.k8s.io/v1/endpointslices",
            (
                f'endpointslices.discovery.k8s.io is forbidden: {USER} list resource "endpointslices" in API group '
                '"discovery.k8s.io" at the cluster scope'
            ),
            {"group": "discovery.k8s.io", "kind": "endpointslices"},
        ),
        (
            "PATCH",
            f"{SERVICES}/my-service/status",
            (
                f'services "my-service" is forbidden: {USER} patch resource "services/status" in API group "" '
                'in the namespace "default"'
            ),
            {"name": "my-service", "kind": "services"},
        ),
        ("GET", "/metrics", f'forbidden: {USER} get path "/metrics"', {}),
        ("GET", "/api", f'forbidden: {USER} get path "/api"', {}),
    ],
)
async def test_the_recorded_words(
    guarded: Client, method: str, path: str, says: str, details: dict[str, str]
) -> None:
    status, answer = await guarded.call(method, path)
    assert (status, answer["message"], answer["details"]) == (403, says, details)


@pytest.mark.parametrize(
    ("method", "path", "verb"),
    [
        ("GET", f"{SERVICES}?watch=1", "watch"),
        ("GET", f"{SERVICES}?watch=True", "watch"),
        ("GET", f"{SERVICES}?watch=0", "list"),
        ("POST", SERVICES, "create"),
        ("PUT", f"{SERVICES}/a", "update"),
        ("DELETE", f"{SERVICES}/a", "delete"),
        ("DELETE", SLICES, "deletecollection"),
    ],
)
async def test_the_verb_is_named(guarded: Client, method: str, path: str, verb: str) -> None:
    status, answer = await guarded.call(method, path)
    assert status == 403
    assert f"cannot {verb} resource" in answer["message"]


async def test_what_needs_no_token(guarded: Client) -> None:
    for path in ("/healthz", "/livez", "/readyz"):
        assert await guarded.call("GET", path) == (200, "ok")
    assert (await guarded.call("GET", "/version"))[0] == 200
    assert (await guarded.call("GET", "/version/../api/v1"))[0] == 403


async def test_a_foreign_page_is_refused_even_with_the_token(guarded: Client) -> None:
    right = {"Authorization": f"Bearer {TOKEN}"}
    for wrong in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
        status, answer = await guarded.call("GET", SERVICES, **right, **wrong)
        assert (status, answer["reason"]) == (403, "Forbidden")
        assert "evil.example" in answer["message"]


async def test_without_a_demand_credentials_are_not_looked_at(api: Client) -> None:
    assert (await api.call("GET", SERVICES, Authorization="Bearer stray"))[0] == 200
