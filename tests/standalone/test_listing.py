"""Lists over real HTTP: pages, versions, selectors, and the 410 answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.standalone.conftest import MERGE, SERVICES, Client, service, serving
from userproxy.standalone.api import ApiLimits

ALL = "/api/v1/services"
DATA = Path(__file__).parent / "data"


def names(answer: dict[str, Any]) -> list[str]:
    return [item["metadata"]["name"] for item in answer["items"]]


async def fill(api: Client, *found: str) -> None:
    for name in found:
        await api.ok("POST", SERVICES, service(name))


async def test_a_list_has_no_kind_at_its_items_and_is_sorted(api: Client) -> None:
    await api.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "a-b"}})
    await api.ok("POST", "/api/v1/namespaces/a-b/services", service("z"))
    await fill(api, "c", "a", "b")
    answer = await api.ok("GET", ALL)
    assert list(answer) == ["kind", "apiVersion", "metadata", "items"]
    assert (answer["kind"], names(answer)) == ("ServiceList", ["z", "a", "b", "c"])
    assert not any("kind" in item or "apiVersion" in item for item in answer["items"])
    assert names(await api.ok("GET", SERVICES)) == ["a", "b", "c"]


async def test_pages_are_one_state_however_much_changes_between_them(api: Client) -> None:
    await fill(api, "a", "b", "c", "d", "e")
    first = await api.ok("GET", f"{SERVICES}?limit=2")
    assert (names(first), first["metadata"]["remainingItemCount"]) == (["a", "b"], 3)
    await api.ok("DELETE", f"{SERVICES}/c")
    await fill(api, "cc")
    await api.ok("PATCH", f"{SERVICES}/d", {"metadata": {"labels": {"new": "1"}}}, MERGE)
    second = await api.ok("GET", f"{SERVICES}?limit=2&continue={first['metadata']['continue']}")
    third = await api.ok("GET", f"{SERVICES}?limit=2&continue={second['metadata']['continue']}")
    assert (names(second), names(third)) == (["c", "d"], ["e"])
    assert "labels" not in second["items"][1]["metadata"]
    assert "continue" not in third["metadata"]
    versions = {page["metadata"]["resourceVersion"] for page in (first, second, third)}
    assert len(versions) == 1
    exact = f"resourceVersionMatch=Exact&resourceVersion={versions.pop()}"
    assert names(await api.ok("GET", f"{SERVICES}?{exact}")) == ["a", "b", "c", "d", "e"]
    assert names(await api.ok("GET", SERVICES)) == ["a", "b", "cc", "d", "e"]


async def test_no_remaining_count_with_a_selector_and_no_limit_with_version_zero(api: Client) -> None:
    await fill(api, "a", "b", "c")
    page = await api.ok("GET", f"{SERVICES}?limit=1&fieldSelector=metadata.name!%3Da")
    assert names(page) == ["b"]
    assert "remainingItemCount" not in page["metadata"]
    assert names(await api.ok("GET", f"{SERVICES}?limit=1&resourceVersion=0")) == ["a", "b", "c"]


async def test_expired_versions_are_410_as_recorded() -> None:
    recorded = {
        name: json.loads((DATA / f"services.{name}-410.json").read_text())
        for name in ("exact-expired", "continue-expired")
    }
    async with serving(history=4) as api:
        await fill(api, "a", "b", "c")
        page = await api.ok("GET", f"{SERVICES}?limit=1")
        old = page["metadata"]["resourceVersion"]
        await fill(api, "d", "e", "f", "g", "h")
        status, answer = await api.call("GET", f"{SERVICES}?resourceVersionMatch=Exact&resourceVersion={old}")
        assert (status, answer) == (410, recorded["exact-expired"])
        status, answer = await api.call("GET", f"{SERVICES}?limit=1&resourceVersion={old}")
        assert status == 410
        status, answer = await api.call("GET", f"{SERVICES}?limit=1&continue={page['metadata']['continue']}")
        token = answer["metadata"].pop("continue")
        recorded["continue-expired"]["metadata"].pop("continue")
        assert (status, answer) == (410, recorded["continue-expired"])
        assert names(await api.ok("GET", f"{SERVICES}?continue={token}")) == [
            "b",
            "c",
            "d",
            "e",
            "f",
            "g",
            "h",
        ]
        for query in (f"resourceVersion={old}", f"resourceVersionMatch=NotOlderThan&resourceVersion={old}"):
            assert len(names(await api.ok("GET", f"{SERVICES}?{query}"))) == 8


async def test_a_read_waits_a_moment_for_a_version_from_the_future() -> None:
    async with serving(ApiLimits(version_wait=0.2)) as api:
        version = int((await api.ok("GET", ALL))["metadata"]["resourceVersion"])
        for path in (ALL, f"{SERVICES}/none"):
            status, answer = await api.call("GET", f"{path}?resourceVersion={version + 5}")
            assert (status, answer["reason"]) == (504, "Timeout")


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("app=shop", ["front", "shop"]),
        ("app==shop", ["front", "shop"]),
        ("app!=shop", ["other", "plain"]),
        ("app in (shop,other)", ["front", "other", "shop"]),
        ("app notin (shop)", ["other", "plain"]),
        ("tier", ["front"]),
        ("!tier", ["other", "plain", "shop"]),
        ("app=shop,tier!=front", ["shop"]),
        (" app in ( shop , other ) , tier ", ["front"]),
        ("n>1", ["front"]),
        ("n<2", ["other"]),
        ("empty=", ["plain"]),
        ("service.kubernetes.io/headless", []),
    ],
)
async def test_label_selectors(api: Client, selector: str, expected: list[str]) -> None:
    for name, labels in (
        ("shop", {"app": "shop"}),
        ("front", {"app": "shop", "tier": "front", "n": "2"}),
        ("other", {"app": "other", "n": "1"}),
        ("plain", {"empty": ""}),
    ):
        await api.ok("POST", SERVICES, {**service(name), "metadata": {"name": name, "labels": labels}})
    async with api.session.get(api.url + SERVICES, params={"labelSelector": selector}) as response:
        assert names(await response.json()) == expected


@pytest.mark.parametrize(
    "selector", ["a===b", "a in b", "a in (b", "=a", "a,,b", "a b", "-a", "a=b c", "a=-", "in (", "(", "a>"]
)
async def test_bad_label_selectors_are_400(api: Client, selector: str) -> None:
    async with api.session.get(api.url + SERVICES, params={"labelSelector": selector}) as response:
        answer = await response.json()
    assert (response.status, answer["reason"]) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("metadata.name=a", ["a"]),
        ("metadata.name==a", ["a"]),
        ("metadata.name!=a", ["headless"]),
        ("metadata.namespace=default,metadata.name=a", ["a"]),
        ("metadata.namespace=other", []),
        ("spec.clusterIP=None", ["headless"]),
        ("spec.clusterIP!=None", ["a"]),
        ("spec.type=ClusterIP", ["a", "headless"]),
        ("spec.type!=ClusterIP", []),
    ],
)
async def test_field_selectors(api: Client, selector: str, expected: list[str]) -> None:
    await api.ok("POST", SERVICES, service("a"))
    await api.ok("POST", SERVICES, service("headless", clusterIP="None"))
    async with api.session.get(api.url + SERVICES, params={"fieldSelector": selector}) as response:
        assert names(await response.json()) == expected


async def test_bad_tokens_are_400(api: Client) -> None:
    for token in ("abc", "e30", "%00", "eyJ2IjoieCIsInJ2IjoxLCJzdGFydCI6Ii4uLyJ9"):
        status, _answer = await api.call("GET", f"{SERVICES}?limit=1&continue={token}")
        assert status == 400
