"""Foreign exceptions in our words, and messages that are not repeated. Virtual time."""

from __future__ import annotations

import errno
import logging
import ssl

import aiohttp
import pytest
from aiohttp.http_exceptions import HttpProcessingError

from userproxy.kube.failures import FOREIGN, RateLimitedLog, RequestFailed, from_error_event, from_exception
from userproxy.kube.wire import Status, StatusDetails

SERVER = "https://10.96.0.1:443"


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (TimeoutError(), "timeout", "does not answer in time"),
        (OSError(errno.ECONNREFUSED, "x"), "refused", "connection refused"),
        (OSError(errno.EHOSTUNREACH, "x"), "unreachable", "no route to it"),
        (OSError(errno.ENETUNREACH, "x"), "unreachable", "no route to its network"),
        (ConnectionResetError(errno.ECONNRESET, "x"), "cut", "reset the connection"),
        (OSError(errno.EIO, "disk on fire"), "connect", "disk on fire"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version"), "tls", "cannot be trusted"),
        (aiohttp.ServerDisconnectedError(), "cut", "closed the connection"),
        (aiohttp.ClientPayloadError("x"), "cut", "closed the connection"),
        (aiohttp.InvalidURL("x"), "connect", "cannot be reached"),
        (HttpProcessingError(message="bad\nline"), "connect", "cannot be reached"),
        (EOFError(), "connect", "EOFError"),
    ],
)
def test_exceptions(error: BaseException, reason: str, words: str) -> None:
    assert isinstance(error, FOREIGN)
    failed = from_exception(error, SERVER)
    assert failed.reason == reason
    assert words in str(failed)
    assert str(failed).startswith(f"the API server {SERVER} ")
    assert "\n" not in str(failed)
    assert not failed.relist


@pytest.mark.parametrize(
    ("status", "reason", "retry_after"),
    [
        (Status(410, "Expired", "too old resource version: 1 (9)"), "expired", 0.0),
        (Status(429, "TooManyRequests", "x", StatusDetails(3)), "error_event", 3.0),
        (Status(500, "InternalError", "x", StatusDetails(86400)), "error_event", 60.0),
        (Status(), "error_event", 0.0),
        (None, "error_event", 0.0),
    ],
)
def test_error_events_always_need_a_list(status: Status | None, reason: str, retry_after: float) -> None:
    failed = from_error_event(status, SERVER)
    assert isinstance(failed, RequestFailed)
    assert (failed.reason, failed.retry_after, failed.relist) == (reason, retry_after, True)


def test_rate_limited_log(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    messages = RateLimitedLog(logging.getLogger("test"), lambda: now, pause=100.0)
    for now in (0.0, 1.0, 99.0, 100.0, 150.0, 200.0):
        messages.say(logging.WARNING, "refused", f"at {now:.0f}")
    messages.say(logging.WARNING, "cut", "100 % cut")
    assert [record.getMessage() for record in caplog.records] == ["at 0", "at 100", "at 200", "100 % cut"]
