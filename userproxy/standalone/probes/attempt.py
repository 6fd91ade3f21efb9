"""One attempt of one probe: connect, or ask with GET, and say whether the server is well.

Owns the network part. Source: `pkg/probe/tcp`, `pkg/probe/http`: an answer of 200 to 399 is a success, certificates are not
checked. Redirects are not followed; being sent elsewhere counts as an answer.
"""

from __future__ import annotations

import asyncio
import logging
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

    async def succeeds(self, probe: Probe) -> bool:
        """Return whether the server answers well within the probe's time; never raises for what the server does."""
        try:
            async with asyncio.timeout(probe.timeout):
                return await (self._get(probe) if probe.path else _connect(probe))
        except (OSError, TimeoutError, aiohttp.ClientError, ValueError, ssl.SSLError) as fault:
            log.debug("probe of %s port %d failed: %s", probe.host, probe.port, fault or "no answer in time")
            return False

    async def _get(self, probe: Probe) -> bool:
        path, _question, query = probe.path.partition("?")
        url = URL.build(
            scheme=probe.scheme, host=probe.host, port=probe.port, path=path, query_string=query, encoded=True
        )
        async with self._session.get(url, headers=list(probe.headers), allow_redirects=False) as response:
            return 200 <= response.status < 400


async def _connect(probe: Probe) -> bool:
    _reader, writer = await asyncio.open_connection(probe.host, probe.port)
    # the end of the connection is not waited for: the server may never answer it
    writer.transport.abort()
    return True
