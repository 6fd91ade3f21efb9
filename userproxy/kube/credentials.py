"""Keeps the access to the API server fresh for as long as the process runs.

Owns when credentials are read again: a file they came from changed (token, certificate, authority or kubeconfig rotated), the
token is about to end, or the server refused it. How they are read is `kube.kubeconfig`'s and `kube.service_account`'s. Streams
that are open go on with what they began with.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from pathlib import Path

from userproxy.errors import ApiError, UsageError
from userproxy.kube.access import Access, plain_access, stamps
from userproxy.kube.failures import RateLimitedLog
from userproxy.kube.service_account import read_service_account

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
RENEW_BEFORE = 10.0
"""Seconds before its end at which a token counts as ended."""

log = logging.getLogger(__name__)


class Credentials:
    """The one place that hands out `Access`. Safe to use from several tasks."""

    def __init__(
        self,
        kubeconfig: str,
        master: str,
        service_account: Path,
        environ: Mapping[str, str],
        given: Access | None = None,
    ) -> None:
        """`kubeconfig` is a path and `master` a URL, either may be empty; with both empty we are in a Pod.

        A `given` access is used as it is.
        """
        self._given = given
        self._kubeconfig = kubeconfig
        self._master = master
        self._service_account = service_account
        self._environ = environ
        self._access: Access | None = None
        self._lock = asyncio.Lock()
        self._messages = RateLimitedLog(log, time.monotonic)

    async def current(self) -> Access:
        """Return the access to use for the next request, read again when it is stale.

        Raise UsageError when it was never read and cannot be; later failures are logged and the last access stays.
        """
        async with self._lock:
            if self._access is None:
                self._access = await self._read()
            elif _stale(self._access):
                try:
                    self._access = await self._read()
                except UsageError as error:
                    text = f"{error}; the credentials read before stay in use"
                    self._messages.say(logging.WARNING, "stale", text)
            return self._access

    async def renew(self, refused: Access) -> bool:
        """Read the credentials again after the server refused `refused`; return whether there is anything new to try.

        Raise ApiError when they cannot be read.
        """
        async with self._lock:
            if self._access is not refused:
                return True
            try:
                self._access = await self._read()
            except UsageError as error:
                raise ApiError(str(error)) from error
            before = (refused.authorization, refused.files)
            return before != (self._access.authorization, self._access.files)

    async def _read(self) -> Access:
        if self._given is not None:
            return self._given
        if self._kubeconfig:
            # Only now: in a Pod nothing needs YAML.
            from userproxy.kube.kubeconfig import read_kubeconfig

            return await read_kubeconfig(self._kubeconfig, self._master, self._environ)
        if self._master:
            return plain_access(self._master, self._environ)
        return read_service_account(self._service_account, self._environ)


def _stale(access: Access) -> bool:
    if access.expires is not None and access.expires - time.time() < RENEW_BEFORE:
        return True
    return stamps(stamp[0] for stamp in access.files) != access.files
