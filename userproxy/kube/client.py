"""HTTP towards the API server: one session, authenticated requests, answers as raw bytes.

Owns the aiohttp session, timeouts, size bounds and the one retry after renewed credentials. Knows neither lists nor watches
(`kube.reflector`). Every foreign exception leaves here as RequestFailed.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import yarl

from userproxy import __version__
from userproxy.errors import UserproxyError
from userproxy.kube.access import Access
from userproxy.kube.credentials import Credentials
from userproxy.kube.failures import FOREIGN, RequestFailed, from_answer, from_exception

MAX_BODY_BYTES = 512 * 1024 * 1024
"""Bound of one list answer, unpacked; 100,000 endpoints in slices are 37 MB."""

MAX_ERROR_BYTES = 64 * 1024
USER_AGENT = f"userproxy/{__version__} (linux/{platform.machine()})"


class ByteStream:
    """The body of one answer, read piece by piece."""

    def __init__(self, response: aiohttp.ClientResponse, server: str) -> None:
        self._response = response
        self.server = server

    async def read(self, timeout: float) -> bytes:
        """Return what has arrived, at least one byte, or nothing at the end; raise RequestFailed.

        Silence for `timeout` seconds is a failure with the reason "stalled".
        """
        try:
            async with asyncio.timeout(timeout):
                return await self._response.content.readany()
        except TimeoutError as error:
            text = f"the API server {self.server} sent nothing for {timeout:.0f} s on an open stream"
            raise RequestFailed(text, "stalled") from error
        except FOREIGN as error:
            raise from_exception(error, self.server) from error

    async def read_all(self, timeout: float, limit: int) -> bytes:
        """Return the whole body; raise RequestFailed, also when it is longer than `limit` bytes."""
        pieces: list[bytes] = []
        size = 0
        while piece := await self.read(timeout):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise RequestFailed(f"the API server {self.server} sent more than {limit} bytes", "too_long")
        return b"".join(pieces)


class ApiClient:
    """One client for all watches. Use as an async context manager inside the event loop."""

    def __init__(self, credentials: Credentials, connect_timeout: float, read_timeout: float) -> None:
        """Timeouts in seconds: for a connection, and for each silence while an answer is awaited."""
        self._credentials = credentials
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> ApiClient:
        # TLS settings and proxy go with each request, so renewed ones need no new session and cut no running stream.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept": "application/json", "User-Agent": USER_AGENT},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def fetch(self, path: str, query: Mapping[str, str], asked: str) -> bytes:
        """Return the body of a GET; `asked` says for errors what it is for ("list services"). Raise RequestFailed."""
        async with self.stream(path, query, asked) as stream:
            return await stream.read_all(self._read_timeout, MAX_BODY_BYTES)

    async def create(self, path: str, item: Mapping[str, Any], asked: str) -> None:
        """POST an object; raise RequestFailed."""
        async with self.stream(path, {}, asked, item) as stream:
            await stream.read_all(self._read_timeout, MAX_BODY_BYTES)

    @asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str], asked: str, item: Mapping[str, Any] | None = None
    ) -> AsyncIterator[ByteStream]:
        """GET, or POST `item`, and give the body while it arrives; raise RequestFailed for any answer but 200 and 201."""
        access, response = await self._request(path, query, item)
        try:
            if response.status == 401 and await self._renew(access):
                response.close()
                access, response = await self._request(path, query, item)
            stream = ByteStream(response, access.server)
            if response.status not in (200, 201):
                body = await stream.read_all(self._read_timeout, MAX_ERROR_BYTES)
                retry_after = response.headers.get("Retry-After")
                raise from_answer(response.status, retry_after, body, access.server, asked)
            yield stream
        finally:
            response.close()

    async def _request(
        self, path: str, query: Mapping[str, str], item: Mapping[str, Any] | None
    ) -> tuple[Access, aiohttp.ClientResponse]:
        if self._session is None:
            raise RuntimeError("the client is used outside of its context")
        try:
            access = await self._credentials.current()
        except UserproxyError as error:
            raise RequestFailed(str(error), "credentials") from error
        try:
            async with asyncio.timeout(self._read_timeout):
                return access, await self._session.request(
                    "GET" if item is None else "POST",
                    yarl.URL(access.server + path).with_query(query),
                    json=item,
                    headers={"Authorization": access.authorization} if access.authorization else None,
                    ssl=access.tls or True,
                    server_hostname=access.tls_server_name or None,
                    proxy=access.proxy or None,
                    allow_redirects=False,
                )
        except FOREIGN as error:
            raise from_exception(error, access.server) from error

    async def _renew(self, refused: Access) -> bool:
        try:
            return await self._credentials.renew(refused)
        except UserproxyError as error:
            raise RequestFailed(str(error), "credentials", status=401) from error
