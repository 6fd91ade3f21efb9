"""What can go wrong between us and the API server, in words for people and with what the reflector shall do about it.

Owns the mapping from aiohttp's, ssl's and the operating system's exceptions and from HTTP answers. Does no input or output.
"""

from __future__ import annotations

import errno
import logging
import ssl
from collections.abc import Callable
from http import HTTPStatus

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from userproxy.errors import ApiError
from userproxy.kube.wire import Status, parse_status

FOREIGN = (aiohttp.ClientError, HttpProcessingError, OSError, TimeoutError, EOFError)
"""Every exception by which a broken connection, answer or certificate shows itself."""

LONGEST_RETRY_AFTER = 60.0
"""Seconds; a server that asks for a longer pause is asked again after this one."""

_RETRYABLE = {
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
}
_BY_ERRNO = {
    errno.ECONNREFUSED: ("refused", "connection refused; is the API server running there?"),
    errno.EHOSTUNREACH: ("unreachable", "no route to it"),
    errno.ENETUNREACH: ("unreachable", "no route to its network"),
    errno.ECONNRESET: ("cut", "it reset the connection"),
    errno.EPIPE: ("cut", "it closed the connection"),
    errno.ETIMEDOUT: ("timeout", "no answer in time"),
}


class RequestFailed(ApiError):
    """One request or stream failed.

    `reason` is a short word for counters. `status` is the HTTP status, 0 without one. `retry_after` is the least time to wait,
    in seconds. `relist`: a watch cannot go on from where it was, everything must be listed again.
    """

    def __init__(
        self, text: str, reason: str, *, status: int = 0, retry_after: float = 0.0, relist: bool = False
    ) -> None:
        super().__init__(text)
        self.reason = reason
        self.status = status
        self.retry_after = retry_after
        self.relist = relist


def from_exception(error: BaseException, server: str) -> RequestFailed:
    """Map one of `FOREIGN`, raised while talking to `server` (its URL, without credentials)."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return RequestFailed(f"the API server {server} cannot be reached: its host name is not known", "dns")
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError | ssl.SSLError):
        return RequestFailed(f"the API server {server} cannot be trusted: {_tls_reason(error)}", "tls")
    if isinstance(error, aiohttp.ClientResponseError):
        # Its text holds the URL, which can be that of a proxy with a password in it.
        return RequestFailed(
            f"the API server {server} cannot be reached: {error.status} {error.message}", "http"
        )
    if isinstance(error, TimeoutError):
        return RequestFailed(f"the API server {server} does not answer in time", "timeout")
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError):
        return RequestFailed(f"the API server {server} closed the connection in the middle", "cut")
    if isinstance(error, OSError) and error.errno in _BY_ERRNO:
        reason, text = _BY_ERRNO[error.errno]
        return RequestFailed(f"the API server {server} cannot be reached: {text}", reason)
    what = (str(error).splitlines() or [""])[0][:200] or type(error).__name__
    return RequestFailed(f"the API server {server} cannot be reached: {what}", "connect")


def from_answer(status: int, retry_after: str | None, body: bytes, server: str, asked: str) -> RequestFailed:
    """Map an HTTP answer that is not 200. `asked` says what was wanted, as in "watch services"."""
    told = parse_status(body)
    said = _one_line(told.message if told else body.decode("utf-8", "replace"))
    relist = 400 <= status < 500 and status not in _RETRYABLE
    wait = _seconds(retry_after)
    if status == HTTPStatus.UNAUTHORIZED:
        text = f"the API server {server} refused our credentials (401 Unauthorized); check the token or client certificate"
    elif status == HTTPStatus.FORBIDDEN:
        text = (
            f"we have no right to {asked} at the API server {server} (403 Forbidden: {said}); "
            "bind the ClusterRole system:node-proxier or one with list and watch on it"
        )
    else:
        name = HTTPStatus(status).phrase if status in _KNOWN_STATUS else "unknown status"
        text = f"the API server {server} answered {status} {name} when asked to {asked}: {said or 'no reason given'}"
    return RequestFailed(text, f"http_{status}", status=status, retry_after=wait, relist=relist)


def from_error_event(status: Status | None, server: str) -> RequestFailed:
    """Map the ERROR event of a watch; what was lost is unknown, so a new list is always needed."""
    if status is None:
        return RequestFailed(
            f"the API server {server} ended the watch with an error", "error_event", relist=True
        )
    wait = float(status.details.retry_after or 0) if status.details else 0.0
    reason = "expired" if status.code == HTTPStatus.GONE else "error_event"
    text = f"the API server {server} ended the watch: {_one_line(status.message) or status.reason}"
    return RequestFailed(
        text, reason, status=status.code, retry_after=min(wait, LONGEST_RETRY_AFTER), relist=True
    )


class RateLimitedLog:
    """Passes the first message of each kind on, and the next of that kind only after a pause."""

    def __init__(
        self, log: logging.Logger, clock: Callable[[], float], pause: float = 120.0, resource: str = ""
    ) -> None:
        """`clock` is monotonic, `pause` in seconds; `resource` is a field of each record."""
        self._fields = {"resource": resource} if resource else {}
        self._log = log
        self._clock = clock
        self._pause = pause
        self._said: dict[str, float] = {}

    def say(self, level: int, kind: str, text: str) -> None:
        """Log `text`, unless one of the same `kind` (one of a small set) was logged within the pause."""
        last = self._said.get(kind)
        now = self._clock()
        if last is None or now - last >= self._pause:
            self._said[kind] = now
            self._log.log(level, "%s", text, extra=self._fields)


_KNOWN_STATUS = frozenset(int(status) for status in HTTPStatus)


def _tls_reason(error: BaseException) -> str:
    inner = getattr(error, "certificate_error", error)
    text = getattr(inner, "verify_message", "") or getattr(inner, "reason", "") or str(inner)
    return f"{_one_line(str(text))}; check the certificate authority we were given"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]


def _seconds(header: str | None) -> float:
    """Read a Retry-After header; Kubernetes sends whole seconds, the date form counts as absent."""
    return (
        min(float(header), LONGEST_RETRY_AFTER) if header and header.isascii() and header.isdigit() else 0.0
    )
