"""The few questions that `userproxy check` asks an API server, each once and with a short deadline.

Owns the requests and what of the answers counts. What the answers mean for userproxy is decided in `core.cluster_checks`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec

from userproxy.core.cluster_checks import ApiAnswers, Permission
from userproxy.errors import UserproxyError
from userproxy.kube.credentials import SERVICE_ACCOUNT, Credentials
from userproxy.kube.failures import FOREIGN, from_answer, from_exception
from userproxy.kube.session import authenticated_session

ANSWER_SECONDS = 5.0
MAX_ANSWER_BYTES = 1 << 20

_REVIEW = "apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_NEEDED = (
    ("", "services", ("list", "watch")),
    ("discovery.k8s.io", "endpointslices", ("list", "watch")),
    ("", "nodes", ("list", "watch")),
    ("", "events", ("create",)),
)
"""What `kube.cluster` and `kube.events` ask for."""
_OPTIONAL = frozenset({"events"})


async def ask_api(kubeconfig: str, master: str, node: str, *, permissions: bool) -> ApiAnswers:
    """Ask the API server that `kubeconfig` and `master` name (both empty: as in a Pod) about itself and about us.

    Failures are part of the answer, not raised.
    """
    try:
        access = await Credentials(kubeconfig, master, SERVICE_ACCOUNT, os.environ).current()
        async with authenticated_session(kubeconfig, master) as session:
            return await _Questions(session, access.server).all(node, permissions=permissions)
    except UserproxyError as error:
        return ApiAnswers(failure=str(error))


class _Questions:
    def __init__(self, session: aiohttp.ClientSession, server: str) -> None:
        self._session = session
        self.server = server
        self._date: datetime | None = None

    async def all(self, node: str, *, permissions: bool) -> ApiAnswers:
        status, answer = await self._ask("GET", "version", None, "tell its version")
        if status != 200:
            raise from_answer(status, None, msgspec.json.encode(answer), self.server, "tell its version")
        skew = (datetime.now(UTC) - self._date).total_seconds() if self._date else None
        cluster_ip = await self._kubernetes_address()
        return ApiAnswers(
            server=self.server,
            host=urlsplit(self.server).hostname or "",
            version=str(answer.get("gitVersion", "unknown version")),
            clock_skew=skew,
            node=node,
            node_status=(
                await self._ask("GET", f"api/v1/nodes/{quote(node, safe='')}", None, "read our Node")
            )[0],
            cluster_ip=cluster_ip,
            permissions=await self._permissions() if permissions else (),
        )

    async def _kubernetes_address(self) -> str:
        status, answer = await self._ask(
            "GET", "api/v1/namespaces/default/services/kubernetes", None, "read Service default/kubernetes"
        )
        spec = answer.get("spec") if status == 200 else None
        return str(spec.get("clusterIP", "")) if isinstance(spec, dict) else ""

    async def _permissions(self) -> tuple[Permission, ...]:
        wanted = [(group, resource, verb) for group, resource, verbs in _NEEDED for verb in verbs]
        return tuple(
            [
                Permission(
                    verb, resource, await self._allowed(group, resource, verb), resource not in _OPTIONAL
                )
                for group, resource, verb in wanted
            ]
        )

    async def _allowed(self, group: str, resource: str, verb: str) -> bool | None:
        attributes = {"group": group, "resource": resource, "verb": verb}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        status, answer = await self._ask("POST", _REVIEW, review, f"say whether we may {verb} {resource}")
        told = answer.get("status") if status in (200, 201) else None
        return bool(told.get("allowed")) if isinstance(told, dict) else None

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None, asked: str
    ) -> tuple[int, dict[str, Any]]:
        """Return status code and decoded object, empty when it is none. Raises RequestFailed."""
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                self._session.request(method, path, json=body, allow_redirects=False) as response,
            ):
                text = await response.content.read(MAX_ANSWER_BYTES)
        except FOREIGN as error:
            raise from_exception(error, self.server) from error
        self._note_date(response.headers.get("Date", ""))
        if response.status == 401:
            raise from_answer(401, None, text, self.server, asked)
        try:
            answer = msgspec.json.decode(text)
        except msgspec.DecodeError:
            answer = {}
        return response.status, answer if isinstance(answer, dict) else {}

    def _note_date(self, header: str) -> None:
        try:
            self._date = parsedate_to_datetime(header).astimezone(UTC)
        except ValueError:
            self._date = None
