"""An aiohttp session towards the API server that carries our credentials, for what writes as well as reads.

Owns the authorization of each request, renewed like the reflectors' is. What is asked is the caller's business.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from userproxy.kube.client import USER_AGENT
from userproxy.kube.credentials import SERVICE_ACCOUNT, Credentials

CONNECT_SECONDS = 10.0


@asynccontextmanager
async def authenticated_session(kubeconfig: str, master: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a session whose relative paths are the API server's.

    `kubeconfig` and `master` as for `Cluster`; both empty means that we run in a Pod. Raises UsageError for unusable
    credentials. A certificate authority that changes needs a new session.
    """
    credentials = Credentials(kubeconfig, master, SERVICE_ACCOUNT, os.environ)
    access = await credentials.current()

    async def authorize(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        current = await credentials.current()
        if current.authorization:
            request.headers["Authorization"] = current.authorization
        return await handler(request)

    async with aiohttp.ClientSession(
        base_url=access.server + "/",
        connector=aiohttp.TCPConnector(ssl=access.tls or True),
        headers={"User-Agent": USER_AGENT},
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        middlewares=(authorize,),
        proxy=access.proxy or None,
    ) as session:
        yield session
