"""Requests on objects: get, list, watch, create, replace, patch, delete, from the HTTP request to the answer.

Owns which method does what on which path. The rules are elsewhere: writes in `registry`, lists in `listing`, streams in
`watching`, the form of answers in `wire`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import ClientConnectionResetError, web

from userproxy.errors import StoreError
from userproxy.standalone import patching, protobuf, statuses, wire
from userproxy.standalone.decoding import WriteOptions
from userproxy.standalone.duplicates import duplicate_fields
from userproxy.standalone.kinds import Kind
from userproxy.standalone.listing import list_page
from userproxy.standalone.objects import Json
from userproxy.standalone.options import (
    ListOptions,
    parse_delete_options,
    parse_get_version,
    parse_list_options,
    parse_write_options,
    require_manager,
)
from userproxy.standalone.registry import Change, Registry, Written
from userproxy.standalone.strategic import strategic_patch
from userproxy.standalone.targets import Target
from userproxy.standalone.views import Viewer
from userproxy.standalone.watching import Watch, WatchLimits

log = logging.getLogger(__name__)

MERGE_PATCH, JSON_PATCH = "application/merge-patch+json", "application/json-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
PATCH_TYPES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)
_END_SECONDS = 2.0
"""How long a client may take to read the end of a watch."""
_WATCH_SECONDS = (1800.0, 3600.0)
"""A watch without timeoutSeconds ends at a random time between these, as at a real server."""

Handler = Callable[[web.BaseRequest, Target, wire.Format], Awaitable[web.StreamResponse]]


class ApiLimits(msgspec.Struct, frozen=True):
    """Bounds of requests. `version_wait`: seconds that a read waits for a version from the future."""

    watch: WatchLimits = WatchLimits()
    version_wait: float = 3.0


class Api:
    """Answers requests on objects. Errors leave as Refusal."""

    def __init__(self, registry: Registry, limits: ApiLimits) -> None:
        self._registry = registry
        self._limits = limits
        self._watches: set[Watch] = set()

    @property
    def watches(self) -> int:
        """Number of watches that run."""
        return len(self._watches)

    def end_watches(self) -> None:
        """End all watches, so that their clients connect again elsewhere or later."""
        for watch in tuple(self._watches):
            watch.end()

    async def handle(self, request: web.BaseRequest, target: Target, form: wire.Format) -> web.StreamResponse:
        """Answer one request. Raises Refusal."""
        handler = self._handler(request.method, target)
        if handler is None:
            raise statuses.method_not_allowed()
        fault = self._registry.store.fault
        if request.method != "GET" and fault is not None:
            raise statuses.internal(str(fault))
        try:
            response = await handler(request, target, form)
        except statuses.Refusal:
            await self._settle()  # a refusal tells what the store holds, too
            raise
        if not response.prepared:
            await self._settle()
        if target.kind.deprecation and not response.prepared:
            response.headers.add("Warning", f'299 - "{target.kind.deprecation}"')
        return response

    async def _settle(self) -> None:
        try:
            await self._registry.store.settle()
        except StoreError as fault:
            raise statuses.internal(str(fault)) from fault

    def _handler(self, method: str, target: Target) -> Handler | None:
        if target.old_watch:
            return self._list if method == "GET" else None
        if not target.name:
            collection: dict[str, Handler] = {"GET": self._list}
            if target.is_creatable:
                collection["POST"] = self._create
                if target.kind.deletes_collection:
                    collection["DELETE"] = self._delete_collection
            return collection.get(method)
        single: dict[str, Handler] = {"GET": self._get, "PUT": self._replace, "PATCH": self._patch}
        if not target.subresource:
            single["DELETE"] = self._delete
        return single.get(method)

    # ---- reading ---------------------------------------------------------------------------------------------

    async def _get(self, request: web.BaseRequest, target: Target, form: wire.Format) -> web.StreamResponse:
        version = parse_get_version(request.query)
        await self._wait_for_version(version or 0)
        item = self._registry.read(target.kind, target.namespace, target.name)
        return answer(Viewer(target.kind, form).one(item), form)

    async def _list(self, request: web.BaseRequest, target: Target, form: wire.Format) -> web.StreamResponse:
        kind = target.kind
        options = parse_list_options(request.query, kind, target.name, watch=target.old_watch)
        if options.watch:
            return await self._watch(request, target, options, form)
        if options.match != "Exact":
            await self._wait_for_version(options.version or 0)
        page = list_page(self._registry.store, kind, target.namespace, options)
        return answer(Viewer(kind, form).many(page.metadata, page.items), form)

    async def _wait_for_version(self, version: int) -> None:
        store = self._registry.store
        deadline = asyncio.get_running_loop().time() + self._limits.version_wait
        while store.version < version:
            if asyncio.get_running_loop().time() >= deadline:
                raise statuses.version_too_large(version, store.version)
            await asyncio.sleep(0.05)

    async def _watch(
        self, request: web.BaseRequest, target: Target, options: ListOptions, form: wire.Format
    ) -> web.StreamResponse:
        transport = request.transport

        def cut_off() -> None:
            if transport is not None:
                transport.abort()

        watch = Watch(
            self._registry.store,
            target.kind,
            target.namespace,
            options,
            Viewer(target.kind, form).event,
            self._limits.watch,
            cut_off,
        )
        self._watches.add(watch)
        headers = [("Content-Type", form.content_type), *wire.common_headers()]
        response = web.StreamResponse(headers=dict(headers))
        if target.kind.deprecation:
            response.headers["Warning"] = f'299 - "{target.kind.deprecation}"'
        try:
            await response.prepare(request)
            await watch.run(response.write, options.timeout or random.uniform(*_WATCH_SECONDS))
            async with asyncio.timeout(_END_SECONDS):
                await response.write_eof()
        except (ClientConnectionResetError, ConnectionError) as fault:
            log.debug("a watch of %s was left: %s", target.kind.plural, fault)
        except TimeoutError:
            cut_off()
        finally:
            watch.end()
            self._watches.discard(watch)
        return response

    # ---- writing ---------------------------------------------------------------------------------------------

    async def _create(
        self, request: web.BaseRequest, target: Target, form: wire.Format
    ) -> web.StreamResponse:
        options = parse_write_options(request.query, "CreateOptions", request.headers.get("User-Agent", ""))
        body, options = await _read_object(request, target.kind, options)
        written = self._registry.create(target.kind, target.namespace, body, options)
        return _answer_written(target.kind, written, form)

    async def _replace(
        self, request: web.BaseRequest, target: Target, form: wire.Format
    ) -> web.StreamResponse:
        options = parse_write_options(request.query, "UpdateOptions", request.headers.get("User-Agent", ""))
        body, options = await _read_object(request, target.kind, options)
        written = self._registry.replace(
            target.kind, target.namespace, target.name, body, options, status=bool(target.subresource)
        )
        return _answer_written(target.kind, written, form)

    async def _patch(self, request: web.BaseRequest, target: Target, form: wire.Format) -> web.StreamResponse:
        kind, status = target.kind, bool(target.subresource)
        body, content_type = await request.read(), request.content_type
        if content_type == APPLY_PATCH:
            require_manager(request.query)
        options = parse_write_options(request.query, "PatchOptions", request.headers.get("User-Agent", ""))
        if content_type == APPLY_PATCH:
            wanted = wire.read_yaml(body, f"error decoding YAML of a {kind.kind}: ")
            written = self._registry.apply(
                kind, target.namespace, target.name, wanted, options, status=status
            )
        else:
            change = _change(kind, content_type, body)
            written = self._registry.change(
                kind, target.namespace, target.name, change, options, status=status
            )
        return _answer_written(kind, written, form)

    async def _delete(
        self, request: web.BaseRequest, target: Target, form: wire.Format
    ) -> web.StreamResponse:
        kind, name = target.kind, target.name
        options = parse_delete_options(request.query, await _read_delete_body(request))
        item = self._registry.delete(kind, target.namespace, name, options)
        if kind.delete_answers_object or item["metadata"].get("deletionTimestamp"):
            return answer(Viewer(target.kind, form).one(item), form)
        return answer(statuses.success(kind, name, item["metadata"]["uid"]), form)

    async def _delete_collection(
        self, request: web.BaseRequest, target: Target, form: wire.Format
    ) -> web.StreamResponse:
        kind = target.kind
        selection = parse_list_options(request.query, kind)
        options = parse_delete_options(request.query, await _read_delete_body(request))
        gone = self._registry.delete_all(kind, target.namespace, selection.test, options)
        metadata = {"resourceVersion": str(self._registry.store.version)}
        return answer(Viewer(kind, form).many(metadata, gone), form)


def _change(kind: Kind, content_type: str, body: bytes) -> Change:
    """Return what a patch does to an object. Raises Refusal (400, 415)."""
    if content_type not in PATCH_TYPES:
        raise statuses.unsupported_patch(PATCH_TYPES)
    patch = wire.read_json(body, "error decoding patch: ")
    if content_type == JSON_PATCH:
        return lambda item: patching.json_patch(item, patch)
    if not isinstance(patch, dict):
        raise statuses.bad_request("error decoding patch: a merge patch must be an object")
    if content_type == STRATEGIC_PATCH:
        return lambda item: strategic_patch(item, patch, kind.shape)
    return lambda item: patching.merge_patch(item, patch)


async def _read_object(
    request: web.BaseRequest, kind: Kind, options: WriteOptions
) -> tuple[Any, WriteOptions]:
    """Return the value of a body, and the options with the fields that it gives twice."""
    text = await request.read()
    content_type = request.headers.get("Content-Type", "")
    if wire.media_type(content_type) == protobuf.MEDIA_TYPE:
        decoded = wire.read_protobuf(text, kind.kind)
        return decoded.value, msgspec.structs.replace(options, dropped=decoded.dropped)
    body = wire.read_body(text, content_type, kind.kind)
    if options.field_validation == "Ignore":
        return body, options
    duplicates = duplicate_fields(text, body)
    return body, msgspec.structs.replace(options, duplicates=duplicates) if duplicates else options


async def _read_delete_body(request: web.BaseRequest) -> Json:
    body = await request.read()
    if not body:
        return {}
    options: Any = wire.read_body(body, request.headers.get("Content-Type", ""), "DeleteOptions")
    if not isinstance(options, dict):
        raise statuses.bad_request("the body of a DELETE must be a DeleteOptions object")
    return options


def _answer_written(kind: Kind, written: Written, form: wire.Format) -> web.Response:
    warnings = [("Warning", f'299 - "{_quoted(text)}"') for text in written.warnings]
    return answer(Viewer(kind, form).one(written.item), form, 201 if written.created else 200, warnings)


def _quoted(text: str) -> str:
    plain = "".join(character if character.isprintable() else "?" for character in text[:300])
    return plain.replace("\\", "\\\\").replace('"', '\\"')


def answer(
    body: Json, form: wire.Format, code: int = 200, headers: list[tuple[str, str]] | None = None
) -> web.Response:
    """Return a whole answer."""
    given = {"Content-Type": form.content_type}
    response = web.Response(status=code, body=wire.write(body, form), headers=given)
    for name, value in headers or ():
        response.headers.add(name, value)
    return response
