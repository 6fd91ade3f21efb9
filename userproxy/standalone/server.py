"""The HTTP server of the standalone Kubernetes API: one socket, one handler, from the guard to the answer.

Owns listening, the order of checks and the mapping of refusals to answers. Requests on objects go to `api`, documents
about the server come from `discovery`. Without a token whoever reaches the address may do everything.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import logging
import os
import socket
import ssl
import zlib
from pathlib import Path
from typing import Any

from aiohttp import web

from userproxy.errors import ListenError, UsageError
from userproxy.standalone import discovery, openapi, reviews, statuses, wire
from userproxy.standalone.api import APPLY_PATCH, Api, ApiLimits, answer
from userproxy.standalone.authorization import Access
from userproxy.standalone.guard import HostGuard
from userproxy.standalone.objects import Json, object_key
from userproxy.standalone.rbac import Rules
from userproxy.standalone.registry import Registry
from userproxy.standalone.targets import Target, UnknownPath, names_objects, parse_target

log = logging.getLogger(__name__)

LARGEST_BODY = 3 * 1024 * 1024
"""Bytes of a request body, as a real server bounds them."""
_SHUTDOWN_SECONDS = 2.0
"""How long running requests may take when the server stops."""

UNIX = "unix:"
"""Begins a bind address that is the path of a unix socket."""
_LARGE_ANSWER = 128 * 1024
"""Bytes from which on an answer is packed for clients that take gzip, as at a real server."""
_FAST_GZIP = (1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
PLAIN_NOT_FOUND = "404 page not found\n"


def parse_bind_address(text: str) -> tuple[str, int]:
    """Return host and port of `host:port`, with brackets around IPv6 addresses. Raises UsageError."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"--api-bind-address: {text!r}: give host:port, for example 127.0.0.1:8001")
    return host, int(port)


def open_listener(bind_address: str) -> socket.socket:
    """Return a listening socket for `host:port` or `unix:/path`.

    Raises UsageError for a bad address, ListenError when it cannot be had.
    """
    if bind_address.startswith(UNIX):
        return _open_unix(bind_address)
    host, port = parse_bind_address(bind_address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as fault:
        raise UsageError(f"--api-bind-address: {bind_address!r}: unknown host {host!r}") from fault
    family, _kind, _protocol, _name, address = found[0]
    try:
        return socket.create_server(address[:2], family=family, backlog=1024)
    except OSError as fault:
        raise ListenError(_listen_text(bind_address, fault)) from fault


def _open_unix(bind_address: str) -> socket.socket:
    path = Path(bind_address.removeprefix(UNIX))
    if not path.is_absolute() or len(os.fsencode(path)) > 107:
        raise UsageError(
            f"--api-bind-address: {bind_address!r}: give unix:/path, absolute and of at most 107 bytes"
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    former = os.umask(0o177)  # from its first moment on nobody else may connect
    try:
        if path.is_socket() and not _answers(path):
            path.unlink()
        listener.bind(str(path))
        listener.listen(1024)
    except OSError as fault:
        listener.close()
        raise ListenError(_listen_text(bind_address, fault)) from fault
    finally:
        os.umask(former)
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex(str(path)) != errno.ECONNREFUSED


def _listen_text(bind_address: str, fault: OSError) -> str:
    hints = {
        errno.EADDRINUSE: "another program listens there; stop it, or choose another port (0 takes any free one)",
        errno.EACCES: "this port needs more rights; choose one above 1023",
        errno.EADDRNOTAVAIL: "this machine has no such address; use 127.0.0.1",
    }
    hint = hints.get(fault.errno or 0, "choose another address")
    # create_server puts the address behind the kernel's words
    reason = os.strerror(fault.errno) if fault.errno else fault
    return f"cannot listen for the API at {bind_address}: {reason}; {hint}"


class ApiServer:
    """Serves a registry over HTTP on a listening socket, which it closes in the end."""

    def __init__(
        self,
        registry: Registry,
        listener: socket.socket,
        limits: ApiLimits | None = None,
        *,
        token: str = "",
        tls: ssl.SSLContext | None = None,
        rules: Rules | None = None,
    ) -> None:
        """`token` is what requests must show, empty for nothing; with `tls` it speaks HTTPS.

        With `rules` every request has only the rights that they give. Several servers may serve one registry, so that one
        writes with all rights what another one's clients read with few.
        """
        self._registry = registry
        self._api = Api(registry, limits or ApiLimits())
        self._listener = listener
        self._tls = tls
        self._socket_path: Path | None = None
        host = "localhost"
        if listener.family == socket.AF_UNIX:
            self._socket_path = Path(listener.getsockname())
            self.address = f"{UNIX}{self._socket_path}"
        else:
            host, port = listener.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            self.address = f"{shown}:{port}"
        self._guard = HostGuard(host)
        self._access = Access(token, rules)
        self._runner: web.ServerRunner | None = None

    @property
    def watches(self) -> int:
        """Number of watches that run."""
        return self._api.watches

    async def start(self) -> None:
        """Begin to answer."""
        loop = asyncio.get_running_loop()

        def make_request(
            message: Any, payload: Any, protocol: Any, writer: Any, task: Any
        ) -> web.BaseRequest:
            return web.BaseRequest(
                message, payload, protocol, writer, task, loop, client_max_size=LARGEST_BODY
            )

        # no application with routes and signals: one handler for everything costs half as much for each request;
        # a client that goes away ends its watch at once
        server = web.Server(
            self._handle, request_factory=make_request, handler_cancellation=True, access_log=None
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_SECONDS)
        await self._runner.setup()
        await web.SockSite(self._runner, self._listener, ssl_context=self._tls).start()
        log.debug("API server listens at %s", self.address)

    async def stop(self) -> None:
        """End watches, finish requests, close the socket. May be called twice."""
        self._api.end_watches()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
        path, self._socket_path = self._socket_path, None
        if path is not None:
            path.unlink(missing_ok=True)
        self._listener.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        form = wire.Format()
        try:
            refusal = self._guard.check(request.headers.get("Host", ""), request.headers.get("Origin"))
            refusal = refusal or self._access.check(
                request.method, request.path, request.query, request.headers.get("Authorization", "")
            )
            if refusal is not None:
                raise refusal
            response = await _packed(request, await self._answer(request))
        except statuses.Refusal as refused:
            with contextlib.suppress(statuses.Refusal):
                form = _format(request)
            response = _refuse(refused, form)
        except web.HTTPRequestEntityTooLarge:
            response = _refuse(statuses.too_large(LARGEST_BODY), form)
        except RecursionError:
            response = _refuse(statuses.bad_request("the object is nested too deep"), form)
        except UnknownPath:
            response = web.Response(status=404, text=PLAIN_NOT_FOUND)
        except (ConnectionError, web.HTTPException):
            raise
        except Exception:
            log.exception(
                "%s %s failed; this is a bug, the request is answered with 500", request.method, request.path
            )
            response = _refuse(statuses.internal("Internal error occurred"), form)
        if not response.prepared:
            for name, value in wire.common_headers():
                response.headers.setdefault(name, value)
        return response

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if request.method == "HEAD":
            return web.Response(status=405)
        if path in discovery.HEALTH_PATHS:
            return web.Response(text="ok")
        if path == openapi.V2_PATH and request.method == "GET":
            # asked for with a sign that no media type may hold, answered without
            binary = openapi.V2_PROTOBUF in request.headers.get("Accept", "")
            media = openapi.V2_PROTOBUF.replace("@", ".") if binary else wire.JSON_TYPE
            return web.Response(body=openapi.version_2(protobuf=binary), headers={"Content-Type": media})
        form = _format(request)
        if path.startswith(reviews.PATH) and path.removeprefix(reviews.PATH) in reviews.KINDS:
            return await self._review(request, form)
        about = None if names_objects(path) else self._about(request, path, form)
        if about is None:
            target = parse_target(path)
            self._check_creation(request, target)
            return await self._api.handle(request, target, form)
        if request.method != "GET":
            raise statuses.method_not_allowed()
        if (
            request.headers.get("If-None-Match")
            and about.headers.get("Etag") == request.headers["If-None-Match"]
        ):
            return web.Response(status=304, headers=about.headers)
        return about

    async def _review(self, request: web.BaseRequest, form: wire.Format) -> web.Response:
        if request.method != "POST":
            raise statuses.method_not_allowed()
        resource = request.path.removeprefix(reviews.PATH)
        content_type = request.headers.get("Content-Type", "")
        body = wire.read_body(await request.read(), content_type, reviews.KINDS[resource])
        return answer(reviews.review(resource, body, self._access), form, 201)

    def _check_creation(self, request: web.BaseRequest, target: Target) -> None:
        """Refuse a PUT or an apply of what is not there to those who may not create it. Raises Refusal (403)."""
        kind = target.kind
        creates = (
            kind.put_creates
            if request.method == "PUT"
            else request.headers.get("Content-Type") == APPLY_PATCH
        )
        if request.method not in ("PUT", "PATCH") or not creates or target.subresource:
            return
        if self._registry.store.get(kind, object_key(target.namespace, target.name)) is None:
            refusal = self._access.check_creation(target)
            if refusal is not None:
                raise refusal

    def _about(self, request: web.BaseRequest, path: str, form: wire.Format) -> web.Response | None:
        """Return the answer at a path that tells about the server itself, None for any other path."""
        if discovery.wants_aggregated(request.headers.get("Accept", "")) and path in ("/api", "/apis"):
            return _cacheable(discovery.aggregated(path), discovery.AGGREGATED_TYPE)
        document = discovery.document(path, self.address)
        if document is not None:
            # these two are always indented
            return answer(document, wire.Format(pretty=form.pretty or path in ("/", "/version")))
        schema = openapi.document(path)
        return None if schema is None else _cacheable(schema, wire.JSON_TYPE)


def _cacheable(document: Json, content_type: str) -> web.Response:
    body = wire.encode(document) + b"\n"
    headers = {"Content-Type": content_type, "Etag": f'"{hashlib.sha512(body).hexdigest().upper()}"'}
    return web.Response(body=body, headers={**headers, "Cache-Control": "public", "Vary": "Accept"})


async def _packed(request: web.BaseRequest, response: web.StreamResponse) -> web.StreamResponse:
    """Return an answer packed with gzip when it is large and the client takes that."""
    body = response.body if isinstance(response, web.Response) else None
    if not isinstance(body, bytes) or len(body) < _LARGE_ANSWER or not _takes_gzip(request):
        return response

    def pack() -> bytes:
        packer = zlib.compressobj(*_FAST_GZIP)
        return packer.compress(body) + packer.flush()

    # beside the loop: packing 10,000 Services takes 50 ms
    packed = web.Response(
        status=response.status, body=await asyncio.to_thread(pack), headers=response.headers
    )
    packed.headers["Content-Encoding"] = "gzip"
    packed.headers.setdefault("Vary", "Accept-Encoding")
    return packed


def _takes_gzip(request: web.BaseRequest) -> bool:
    for clause in request.headers.get("Accept-Encoding", "").split(","):
        coding, _semicolon, quality = clause.partition(";")
        if coding.strip().lower() == "gzip":
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _format(request: web.BaseRequest) -> wire.Format:
    headers = request.headers
    query = request.query
    return wire.choose_format(
        headers.get("Accept", ""),
        headers.get("User-Agent", ""),
        query.get("pretty"),
        query.get("includeObject", ""),
    )


def _refuse(refusal: statuses.Refusal, form: wire.Format) -> web.Response:
    headers = [("Retry-After", str(refusal.retry_after))] if refusal.retry_after else []
    return answer(refusal.status(), wire.Format(pretty=form.pretty), refusal.code, headers)
