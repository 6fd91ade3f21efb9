"""Asking a running agent: a blocking HTTP client for its metrics address.

Owns the connection and the words for its failures. What the answers mean is `core.status`'s; who asks is the command line.
"""

from __future__ import annotations

import gzip
import http.client
import os
from collections.abc import Iterator
from typing import TypeVar

import msgspec

from userproxy.core.addresses import METRICS_PORT, parse_bind_address
from userproxy.core.status import StatusView
from userproxy.errors import AgentError, UsageError

T = TypeVar("T")

SILENT_SECONDS = 45.0
"""An endless answer shows three times as often that it lives (`admin.events`)."""
NAMING_CLIENTS = ("/connections", "/events")
"""Answers that are served on loopback addresses only, unless --live-page is on."""
ANSWER_SECONDS = 10.0
"""An agent with 10,000 Services takes below one to write its status."""


class AgentClient:
    """One agent at `address`, IP:PORT. Raises UsageError for what is no address."""

    def __init__(self, address: str, seconds: float = ANSWER_SECONDS) -> None:
        bind = parse_bind_address(address, METRICS_PORT, "--agent")
        if bind is None or not bind.port:
            raise UsageError("--agent: give the agent's metrics address, such as 127.0.0.1:10249")
        self._bind = bind
        self._seconds = seconds

    def status(self) -> StatusView:
        """Return what the agent believes. Raises AgentError."""
        return self.ask("/status", StatusView)

    def ask(self, path: str, kind: type[T]) -> T:
        """Return the answer to a GET as `kind`. Raises AgentError."""
        code, body = self._get(path)
        if code != 200:
            raise self._refused(code, path, body)
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise AgentError(
                f"what answers at {self._bind} is no userproxy of this version ({error}); "
                "give the metrics address of the agent by --agent"
            ) from error

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._bind.host, self._bind.port, timeout=self._seconds)
        try:
            connection.request("GET", path, headers={"Accept-Encoding": "gzip", "Connection": "close"})
            answer = connection.getresponse()
            body = answer.read()
            packed = answer.headers.get("Content-Encoding") == "gzip"
            return answer.status, gzip.decompress(body) if packed else body
        except (http.client.HTTPException, OSError) as error:
            raise self._no_answer(error, self._seconds) from error
        finally:
            connection.close()

    def lines(self, path: str) -> Iterator[bytes]:
        """Yield the lines of an answer as they come, empty ones left out; ends with it. Raises AgentError."""
        connection = http.client.HTTPConnection(self._bind.host, self._bind.port, timeout=SILENT_SECONDS)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            answer = connection.getresponse()
            if answer.status != 200:
                raise self._refused(answer.status, path, answer.read(1000))
            for line in iter(answer.readline, b""):
                if line.strip():
                    yield line
        except (http.client.HTTPException, OSError) as error:
            raise self._no_answer(error, SILENT_SECONDS) from error
        finally:
            connection.close()

    def _refused(self, code: int, path: str, body: bytes) -> AgentError:
        if body.startswith(b"404 not found") and path.partition("?")[0] in NAMING_CLIENTS:
            return AgentError(
                f"the agent at {self._bind} tells nobody about its clients, because others than this host reach that "
                "address; run it with --live-page on, or ask at a loopback address"
            )
        line = body.decode(errors="replace").strip().partition("\n")[0][:200]
        return AgentError(f"the agent at {self._bind} answers {code} to {path}: {line}")

    def _no_answer(self, error: Exception, seconds: float) -> AgentError:
        if isinstance(error, TimeoutError):
            reason = f"no answer within {seconds:g} s"
        elif isinstance(error, OSError):
            reason = os.strerror(error.errno) if error.errno else str(error)
        else:
            reason = "it does not speak HTTP"
        return AgentError(
            f"no agent answers at {self._bind}: {reason}; start `userproxy run` or `userproxy standalone`, "
            "or give its --metrics-bind-address by --agent"
        )
