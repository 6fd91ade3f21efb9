"""The server as a whole: who may talk to it, its bounds, what it says about itself, and its listening socket."""

from __future__ import annotations

import json
import socket

import pytest

from tests.standalone.conftest import MERGE, SERVICES, SLICES, Client, endpoint_slice, service, serving
from userproxy.errors import ListenError, UsageError
from userproxy.standalone.guard import HostGuard
from userproxy.standalone.server import LARGEST_BODY, open_listener, parse_bind_address


async def raw(api: Client, request: str) -> str:
    """Send bytes as they are; returns the status line."""
    import asyncio

    host, port = api.server.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request.encode())
        return (await reader.readline()).decode()
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8001", "127.0.0.1.evil.example", "", "10.0.0.9"]
)
async def test_foreign_hosts_are_refused(api: Client, host: str) -> None:
    line = await raw(api, f"GET {SERVICES} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    assert "403" in line


@pytest.mark.parametrize("host", ["localhost", "localhost:8001", "127.0.0.1", "127.1.2.3:80", "[::1]:8001"])
async def test_loopback_hosts_pass(api: Client, host: str) -> None:
    line = await raw(api, f"GET {SERVICES} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    assert "200" in line


async def test_foreign_origins_are_refused(api: Client) -> None:
    for origin in ("http://evil.example", "null", "https://127.0.0.1.evil.example"):
        status, answer = await api.call("POST", SERVICES, service("a"), Origin=origin)
        assert (status, answer["reason"]) == (403, "Forbidden")
    status, _answer = await api.call("POST", SERVICES, service("a"), Origin=api.url)
    assert status == 201


def test_a_server_on_every_address_takes_addresses_but_no_names() -> None:
    guard = HostGuard("0.0.0.0")
    assert guard.check("192.0.2.7:8001", None) is None
    assert guard.check("node.example", None) is not None


async def test_bodies_are_bounded(api: Client) -> None:
    body = b'{"metadata":{"name":"a","annotations":{"x":"' + b"x" * LARGEST_BODY + b'"}}}'
    status, answer = await api.call("POST", SERVICES, body)
    assert (status, answer["reason"]) == (413, "RequestEntityTooLarge")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"1",
        b'"x"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"spec":[]}',
    ],
)
async def test_hostile_bodies_are_400(api: Client, body: bytes) -> None:
    for content_type in ("application/json", "application/yaml"):
        status, answer = await api.call("POST", SERVICES, body, content_type)
        assert (status, answer["kind"]) in ((400, "Status"), (422, "Status")), answer


async def test_yaml_bombs_are_400(api: Client) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]" for n in range(12)]
    status, answer = await api.call("POST", SERVICES, "\n".join(lines).encode(), "application/yaml")
    assert (status, answer["reason"]) == (400, "BadRequest")


async def test_deep_patches_and_values_do_not_break_the_server(api: Client) -> None:
    await api.ok("POST", SERVICES, service("a"))
    deep = b'{"metadata":' * 3000 + b"1" + b"}" * 3000
    for content_type in (MERGE, "application/json-patch+json"):
        status, _answer = await api.call("PATCH", f"{SERVICES}/a", deep, content_type)
        assert status in (400, 422)
    pods = "/api/v1/namespaces/default/pods"
    nested = (
        b'{"metadata":{"name":"p"},"spec":{"containers":[{"name":"c"}],"x":' + b"[" * 900 + b"]" * 900 + b"}}"
    )
    status, _answer = await api.call("POST", pods, nested)
    assert status in (201, 400)
    status, _answer = await api.call("GET", pods)
    assert status == 200


async def test_supported_patch_types_are_named(api: Client) -> None:
    await api.ok("POST", SERVICES, service("a"))
    status, answer = await api.call("PATCH", f"{SERVICES}/a", {}, "application/x-patch")
    assert status == 415
    assert "application/merge-patch+json" in answer["message"]


async def test_health_and_version(api: Client) -> None:
    for path in ("/healthz", "/readyz", "/livez"):
        assert await api.call("GET", path) == (200, "ok")
    version = await api.ok("GET", "/version")
    assert (version["major"], version["minor"]) == ("1", "36")


async def test_resource_lists(api: Client) -> None:
    assert (await api.ok("GET", "/api"))["versions"] == ["v1"]
    groups = {group["name"] for group in (await api.ok("GET", "/apis"))["groups"]}
    assert "discovery.k8s.io" in groups
    core = {entry["name"]: entry for entry in (await api.ok("GET", "/api/v1"))["resources"]}
    assert core["services"]["shortNames"] == ["svc"]
    assert core["services/status"]["verbs"] == ["get", "patch", "update"]
    assert "deletecollection" not in core["namespaces"]["verbs"]


async def test_forms_for_people_and_for_programs(api: Client) -> None:
    await api.ok("POST", SERVICES, service("a", selector={"a": "b"}))
    await api.ok("PATCH", f"{SERVICES}/a", {"metadata": {"annotations": {"a": "<&>\u2028"}}}, MERGE)
    texts = {}
    for agent in ("curl/8.5.0", "kubectl/v1.32.5"):
        async with api.session.get(api.url + SERVICES, headers={"User-Agent": agent}) as response:
            texts[agent] = await response.text()
    assert texts["kubectl/v1.32.5"].count("\n") == 1
    assert "\\u003c\\u0026\\u003e\\u2028" in texts["kubectl/v1.32.5"]
    assert texts["curl/8.5.0"].startswith('{\n  "kind": "ServiceList",\n')
    assert not texts["curl/8.5.0"].endswith("\n")
    assert json.loads(texts["curl/8.5.0"]) == json.loads(texts["kubectl/v1.32.5"])
    async with api.session.get(api.url + f"{SERVICES}/a", headers={"Accept": "application/yaml"}) as response:
        assert response.content_type == "application/yaml"
        assert (await response.text()).startswith("apiVersion: v1\nkind: Service\n")


async def test_loopback_endpoints_are_taken_and_link_local_ones_are_not(api: Client) -> None:
    await api.ok("POST", SLICES, endpoint_slice("ours", "127.0.0.7"))
    status, answer = await api.call("POST", SLICES, endpoint_slice("other", "169.254.1.1"))
    assert (status, answer["details"]["causes"][0]["field"]) == (422, "endpoints[0].addresses[0]")


async def test_a_namespace_goes_with_everything_in_it(api: Client) -> None:
    await api.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "n"}})
    await api.ok("POST", "/api/v1/namespaces/n/services", service("a"))
    gone = await api.ok("DELETE", "/api/v1/namespaces/n")
    assert (gone["status"]["phase"], "deletionTimestamp" in gone["metadata"]) == ("Terminating", True)
    assert (await api.ok("GET", "/api/v1/services"))["items"] == []
    assert (await api.call("GET", "/api/v1/namespaces/n"))[0] == 404
    assert (await api.call("DELETE", "/api/v1/namespaces/default"))[0] == 403


async def test_dry_runs_change_nothing(api: Client) -> None:
    await api.ok("POST", SERVICES, service("a"))
    before = await api.ok("GET", SERVICES)
    await api.ok("POST", f"{SERVICES}?dryRun=All", service("b"))
    changed = await api.ok("PATCH", f"{SERVICES}/a?dryRun=All", {"metadata": {"labels": {"x": "y"}}}, MERGE)
    assert changed["metadata"]["labels"] == {"x": "y"}
    await api.ok("DELETE", f"{SERVICES}/a?dryRun=All")
    await api.ok("DELETE", f"{SERVICES}?dryRun=All")
    assert await api.ok("GET", SERVICES) == before


async def test_cluster_ips_run_out_and_come_back() -> None:
    async with serving(cidr="10.96.0.0/29") as api:
        made = [await api.ok("POST", SERVICES, service(f"s{n}")) for n in range(5)]
        assert {item["spec"]["clusterIP"] for item in made} == {f"10.96.0.{n}" for n in range(2, 7)}
        status, answer = await api.call("POST", SERVICES, service("more"))
        assert (status, answer["details"]["causes"][0]["field"]) == (422, "spec.clusterIPs")
        await api.ok("DELETE", f"{SERVICES}/s3")
        again = await api.ok("POST", SERVICES, service("more"))
        assert again["spec"]["clusterIP"] == made[3]["spec"]["clusterIP"]


async def test_dual_stack_services() -> None:
    async with serving(cidr="10.96.0.0/16,fd00:10:96::/112") as api:
        both = await api.ok("POST", SERVICES, service("both", ipFamilyPolicy="PreferDualStack"))
        assert both["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
        assert [":" in address for address in both["spec"]["clusterIPs"]] == [False, True]
        six = await api.ok("POST", SERVICES, service("six", ipFamilies=["IPv6"]))
        assert six["spec"]["clusterIP"].startswith("fd00:10:96::")
        single = {"spec": {"ipFamilyPolicy": "SingleStack"}}
        less = await api.ok("PATCH", f"{SERVICES}/both", single, MERGE)
        assert less["spec"]["clusterIPs"] == both["spec"]["clusterIPs"][:1]
        more = await api.ok(
            "PATCH", f"{SERVICES}/both", {"spec": {"ipFamilyPolicy": "RequireDualStack"}}, MERGE
        )
        assert len(more["spec"]["clusterIPs"]) == 2


async def test_types_may_change(api: Client) -> None:
    made = await api.ok("POST", SERVICES, service("a", type="NodePort"))
    port = made["spec"]["ports"][0]["nodePort"]
    assert 30000 <= port <= 32767
    status, _answer = await api.call(
        "POST", SERVICES, service("b", type="NodePort", ports=[{"port": 1, "nodePort": port}])
    )
    assert status == 422
    plain = await api.ok("PATCH", f"{SERVICES}/a", {"spec": {"type": "ClusterIP"}}, MERGE)
    assert "nodePort" not in plain["spec"]["ports"][0]
    assert "externalTrafficPolicy" not in plain["spec"]
    outside = {"spec": {"type": "ExternalName", "externalName": "db.example.com"}}
    external = await api.ok("PATCH", f"{SERVICES}/a", outside, MERGE)
    assert "clusterIP" not in external["spec"]
    back = await api.ok(
        "PATCH", f"{SERVICES}/a", {"spec": {"type": "ClusterIP", "externalName": None}}, MERGE
    )
    assert back["spec"]["clusterIP"].startswith("10.96.")


@pytest.mark.parametrize(
    "text", ["", "8001", "localhost", "a:b", "127.0.0.1:70000", ":80", "nosuch.invalid:1"]
)
def test_bad_bind_addresses_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError, match="--api-bind-address: "):
        open_listener(text).close()


def test_bind_addresses() -> None:
    assert parse_bind_address("127.0.0.1:8001") == ("127.0.0.1", 8001)
    assert parse_bind_address("[::1]:0") == ("::1", 0)


def test_a_port_in_use_is_one_line_that_says_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ListenError) as caught:
            open_listener(address)
    assert address in str(caught.value)
    assert "another port" in str(caught.value)
    assert "\n" not in str(caught.value)
