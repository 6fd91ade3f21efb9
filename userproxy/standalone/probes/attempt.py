"""One attempt of one probe: connect, or ask with GET, and say whether the server is well.

Owns the network part. Source: `pkg/probe/tcp`, `pkg/probe/http`: an answer of 200 to 399 is a success, certificates are not
checked. Redirects are not followed; being sent elsewhere counts as an answer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl

import aiohttp
from yarl import URL

from userproxy.standalone.probes.declared import Probe

log = logging.getLogger(__name__)


class Attempts:
    """Carries out probes; `close` ends its connections."""

    def __init__(self) -> None:
        """Open nothing yet; must be made where an event loop runs."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, ssl=False, limit=0),
            headers={"User-Agent": "kube-probe/userproxy", "Accept": "*/*"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    async def close(self) -> None:
        """Close what is open."""
        await self._session.close()

    async def failure(self, probe: Probe) -> str:
        """Return why the probe failed, empty when the server answered well in time; raises nothing for what a server does."""
        try:
            async with asyncio.timeout(probe.timeout):
                return await (self._get(probe) if probe.path else _connect(probe))
        except TimeoutError:
            why = f"no answer from {probe.host} port {probe.port} within {probe.timeout:g} s"
        except (OSError, aiohttp.ClientError, ValueError, ssl.SSLError) as fault:
            number = fault.errno if isinstance(fault, OSError) else None
            words = os.strerror(number) if number else str(fault) or type(fault).__name__
            why = f"{probe.host} port {probe.port}: {words}"
        log.debug("probe failed: %s", why)
        return why

    async def _get(self, probe: Probe) -> str:
        path, _question, query = probe.path.partition("?")
        url = URL.build(
            scheme=probe.scheme, host=probe.host, port=probe.port, path=path, query_string=query, encoded=True
        )
        async with self._session.get(url, headers=list(probe.headers), allow_redirects=False) as response:
            good = 200 <= response.status < 400
            return "" if good else f"HTTP probe failed with statuscode: {response.status}"


async def _connect(probe: Probe) -> str:
    _reader, writer = await asyncio.open_connection(probe.host, probe.port)
    # the end of the connection is not waited for: the server may never answer it
    writer.transport.abort()
    return ""
