"""kubernetes_asyncio, as people use it, against this server: its typed models and its own watch."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from kubernetes_asyncio import client, watch

from tests.standalone.conftest import Client


def configuration(api: Client) -> client.Configuration:
    configured = client.Configuration()
    configured.host = api.url
    return configured


async def follow(stream: watch.Watch, listing: Any, seen: list[tuple[str, str]], count: int) -> None:
    async with asyncio.timeout(10), stream:
        async for event in stream.stream(listing, "default", timeout_seconds=20):
            seen.append((event["type"], event["object"].metadata.name))
            if len(seen) == count:
                return


async def test_services(api: Client) -> None:
    async with client.ApiClient(configuration(api)) as connection:
        core = client.CoreV1Api(connection)
        seen: list[tuple[str, str]] = []
        async with asyncio.TaskGroup() as group:
            listing = core.list_namespaced_service
            group.create_task(follow(watch.Watch(), listing, seen, 3), name="watch services")
            body = client.V1Service(
                metadata=client.V1ObjectMeta(name="web", labels={"app": "web"}),
                spec=client.V1ServiceSpec(selector={"app": "web"}, ports=[client.V1ServicePort(port=80)]),
            )
            made = await core.create_namespaced_service("default", body)
            assert made.spec.cluster_ip.startswith("10.96.")
            assert made.spec.ports[0].target_port == 80
            patched = await core.patch_namespaced_service(
                "web", "default", {"metadata": {"labels": {"x": "y"}}}
            )
            assert patched.metadata.labels == {"app": "web", "x": "y"}
            listed = await core.list_namespaced_service("default", label_selector="x in (y)")
            assert [item.metadata.name for item in listed.items] == ["web"]
            gone = await core.delete_namespaced_service("web", "default")
            assert gone.metadata.name == "web"
        assert seen == [("ADDED", "web"), ("MODIFIED", "web"), ("DELETED", "web")]
        with pytest.raises(client.ApiException, match="404"):
            await core.read_namespaced_service("web", "default")


async def test_endpoint_slices(api: Client) -> None:
    async with client.ApiClient(configuration(api)) as connection:
        slices = client.DiscoveryV1Api(connection)
        seen: list[tuple[str, str]] = []
        async with asyncio.TaskGroup() as group:
            listing = slices.list_namespaced_endpoint_slice
            group.create_task(follow(watch.Watch(), listing, seen, 3), name="watch slices")
            endpoint = client.V1Endpoint(
                addresses=["127.0.0.1"], conditions=client.V1EndpointConditions(ready=True)
            )
            body = client.V1EndpointSlice(
                metadata=client.V1ObjectMeta(generate_name="web-"),
                address_type="IPv4",
                endpoints=[endpoint],
                ports=[client.DiscoveryV1EndpointPort(port=80)],
            )
            made = await slices.create_namespaced_endpoint_slice("default", body)
            name = made.metadata.name
            assert (made.ports[0].name, made.ports[0].protocol) == ("", "TCP")
            made.endpoints[0].conditions.ready = False
            changed = await slices.replace_namespaced_endpoint_slice(name, "default", made)
            assert changed.metadata.generation == 2
            with pytest.raises(client.ApiException, match="409"):
                await slices.replace_namespaced_endpoint_slice(name, "default", made)
            await slices.delete_namespaced_endpoint_slice(name, "default")
        assert seen == [("ADDED", name), ("MODIFIED", name), ("DELETED", name)]
