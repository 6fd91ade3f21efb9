"""RBAC rules: what they allow, what is refused and how, questions about one's own rights, and our own agent's needs."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import yaml

from tests.standalone.conftest import MERGE, SERVICES, SLICES, Client, service
from userproxy.errors import UsageError
from userproxy.kube.cluster import Cluster
from userproxy.standalone.rbac import Attributes, parse_rules
from userproxy.standalone.server import ApiServer, open_listener

READER = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules:
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [nodes]
  resourceNames: [here]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
- apiGroups: [""]
  resources: ["*/status"]
  verbs: [patch]
- nonResourceURLs: [/metrics, /logs/*]
  verbs: [get]
"""
BOUND = f"""{READER}
---
kind: Role
metadata: {{name: leases, namespace: userproxy}}
rules: [{{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}}]
---
kind: ClusterRole
metadata: {{name: unbound}}
rules: [{{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}}]
---
kind: ClusterRoleBinding
metadata: {{name: reader}}
roleRef: {{kind: ClusterRole, name: reader}}
subjects: [{{kind: ServiceAccount, name: userproxy, namespace: kube-system}}]
---
kind: RoleBinding
metadata: {{name: leases, namespace: userproxy}}
roleRef: {{kind: Role, name: leases}}
subjects: [{{kind: ServiceAccount, name: userproxy, namespace: kube-system}}]
"""
USER = "system:serviceaccount:kube-system:userproxy"


@contextlib.asynccontextmanager
async def limited(api: Client, rules: str = BOUND) -> AsyncIterator[Client]:
    """A second server of the same objects, where the rules hold."""
    server = ApiServer(api.registry, open_listener("127.0.0.1:0"), rules=parse_rules(rules))
    await server.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Client(session, server, api.registry)
    finally:
        await server.stop()


def asked(verb: str, resource: str = "", namespace: str = "", name: str = "", **more: str) -> Attributes:
    return Attributes(verb, resource=resource, namespace=namespace, name=name, **more)


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        (asked("list", "services"), True),
        (asked("list", "services", "default"), True),
        (asked("create", "services", "default"), False),
        (asked("list", "services", group="apps"), False),
        (asked("watch", "endpointslices", group="discovery.k8s.io"), True),
        (asked("watch", "endpointslices"), False),
        (asked("watch", "nodes", name="here"), True),
        (asked("watch", "nodes"), False),
        (asked("get", "nodes", name="there"), False),
        (asked("patch", "services", "default", "a", subresource="status"), True),
        (asked("patch", "services", "default", "a"), False),
        (asked("get", "services", "default", "a", subresource="status"), False),
        (asked("update", "leases", "userproxy", "a", group="coordination.k8s.io"), True),
        (asked("update", "leases", "default", "a", group="coordination.k8s.io"), False),
        (asked("get", path="/metrics"), True),
        (asked("get", path="/metrics/x"), False),
        (asked("get", path="/logs/x"), True),
        (asked("post", path="/metrics"), False),
        (asked("get", path="/apis/apps"), True),
    ],
)
def test_what_rules_allow(asked: Attributes, allowed: bool) -> None:
    assert parse_rules(BOUND).allows(asked) is allowed


def test_whose_rules_they_are() -> None:
    assert parse_rules(BOUND).user == USER
    assert not parse_rules(BOUND, "alice").allows(asked("list", "services"))
    alone = parse_rules(READER)
    assert alone.allows(asked("list", "services"))
    listed = {"kind": "List", "items": [yaml.safe_load(READER)]}
    assert parse_rules(json.dumps(listed)).rules == alone.rules


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: Service", "no Role"),
        ("kind: [", "line 2"),
        ("kind: Role\nmetadata: {name: a}\nrules: [{verbs: get}]", "Role 'a'"),
        (BOUND.replace("name: reader}\nrules", "name: other}\nrules"), "names ClusterRole 'reader', which"),
    ],
)
def test_bad_rules_are_one_line(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        parse_rules(text)
    assert "\n" not in str(caught.value)


async def test_only_what_the_rules_allow_is_done(api: Client) -> None:
    await api.ok("POST", SERVICES, service("web"))
    async with limited(api) as few:
        assert len((await few.ok("GET", "/api/v1/services"))["items"]) == 1
        status, answer = await few.call("POST", SERVICES, service("b"))
        assert (status, answer["reason"], answer["details"]) == (403, "Forbidden", {"kind": "services"})
        assert answer["message"] == (
            f'services is forbidden: User "{USER}" cannot create resource "services" in API group "" '
            'in the namespace "default"'
        )
        assert (await few.call("PATCH", f"{SERVICES}/web", {}, MERGE))[0] == 403
        assert (await few.call("PATCH", f"{SERVICES}/web/status", {}, MERGE))[0] == 200
        assert (await few.call("GET", f"{SLICES}/web"))[0] == 403
        assert (await few.call("GET", "/apis/apps/v1/deployments"))[1]["message"].startswith(
            f'deployments.apps is forbidden: User "{USER}" cannot list resource "deployments" in API group "apps"'
        )
        for path in ("/api", "/apis", "/api/v1", "/openapi/v3", "/version", "/healthz"):
            assert (await few.call("GET", path))[0] == 200, path


async def test_writes_that_create_need_the_right_to_create(api: Client) -> None:
    rules = BOUND.replace("verbs: [get, list, watch]", "verbs: [get, update, patch]", 1)
    event = {"metadata": {"name": "a"}, "involvedObject": {"namespace": "default"}}
    async with limited(api, rules) as few:
        apply = f"{SERVICES}/new?fieldManager=me"
        status, answer = await few.call("PATCH", apply, {}, "application/apply-patch+yaml")
        assert (status, answer["message"][:44]) == (403, f'services "new" is forbidden: User "{USER}'[:44])
        assert "cannot create resource" in answer["message"]
        assert (await few.call("PUT", f"{SERVICES}/new", service("new")))[0] == 403
        assert (await few.call("POST", "/api/v1/namespaces/default/events", event))[0] == 201
        await api.ok("POST", SERVICES, service("new"))
        body = {"apiVersion": "v1", "kind": "Service", "metadata": {"labels": {"a": "b"}}}
        assert (await few.call("PATCH", apply, body, "application/apply-patch+yaml"))[0] == 200


REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
RULES_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"


async def allowed(client: Client, **spec: Any) -> bool:
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
    status, answer = await client.call("POST", REVIEWS, body)
    assert (status, answer["kind"], answer["spec"]) == (201, "SelfSubjectAccessReview", spec)
    result: bool = answer["status"]["allowed"]
    return result


async def test_reviews_answer_by_the_same_rules(api: Client) -> None:
    listing = {"verb": "list", "resource": "services"}
    deleting = {"verb": "delete", "resource": "services", "namespace": "default"}
    async with limited(api) as few:
        assert await allowed(few, resourceAttributes=listing)
        assert not await allowed(few, resourceAttributes=deleting)
        assert await allowed(few, nonResourceAttributes={"verb": "get", "path": "/metrics"})
        spec = {"namespace": "userproxy"}
        answer = (await few.ok("POST", RULES_REVIEWS, {"spec": spec}))["status"]
        everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
        assert everything in answer["resourceRules"]
        assert {"verbs": ["get"], "nonResourceURLs": ["/metrics", "/logs/*"]} in answer["nonResourceRules"]
        other = (await few.ok("POST", RULES_REVIEWS, {"spec": {"namespace": "default"}}))["status"]
        assert everything not in other["resourceRules"]
    assert await allowed(api, resourceAttributes=deleting)


async def test_bad_reviews_are_refused(api: Client) -> None:
    for body, code in (
        ({"spec": {}}, 422),
        ({"spec": {"resourceAttributes": {}, "nonResourceAttributes": {}}}, 422),
        ({"spec": {"resourceAttributes": "x"}}, 400),
        ({"kind": "Service"}, 400),
        ([], 400),
    ):
        assert (await api.call("POST", REVIEWS, body))[0] == code, body
    assert (await api.call("GET", REVIEWS))[0] == 405
    assert (await api.call("POST", RULES_REVIEWS, {"spec": {}}))[0] == 400
    assert (await api.call("GET", "/apis/authorization.k8s.io/v1"))[1]["resources"][0]["verbs"] == ["create"]


async def test_our_own_reader_meets_a_real_refusal(api: Client) -> None:
    """Rules that lack EndpointSlices: Services are read, and what is missing is named."""
    rules = BOUND.replace("resources: [endpointslices]", "resources: [nothing]")
    async with limited(api, rules) as few:
        cluster = Cluster("", few.url, "here", "", lambda changes: None)
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            running = group.create_task(cluster.run(), name="watches")
            states = {state.resource: state for state in cluster.watch_states()}
            while not (
                states["services"].listed and states["nodes"].listed and states["endpointslices"].last_error
            ):
                await asyncio.sleep(0.01)
                states = {state.resource: state for state in cluster.watch_states()}
            running.cancel()
    assert not states["endpointslices"].listed
    assert "403" in states["endpointslices"].last_error
