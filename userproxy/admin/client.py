"""Asking a running agent: a blocking HTTP client for its metrics address.

Owns the connection and the words for its failures. What the answers mean is `core.status`'s; who asks is the command line.
"""

from __future__ import annotations

import gzip
import http.client
import os
from typing import TypeVar

import msgspec

from userproxy.core.addresses import METRICS_PORT, parse_bind_address
from userproxy.core.status import StatusView
from userproxy.errors import AgentError, UsageError

T = TypeVar("T")

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
            line = body.decode(errors="replace").strip().partition("\n")[0][:200]
            raise AgentError(f"the agent at {self._bind} answers {code} to {path}: {line}")
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
        except TimeoutError:
            reason = f"no answer within {self._seconds:g} s"
        except http.client.HTTPException:
            reason = "it does not speak HTTP"
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
        finally:
            connection.close()
        raise AgentError(
            f"no agent answers at {self._bind}: {reason}; start `userproxy run` or `userproxy standalone`, "
            "or give its --metrics-bind-address by --agent"
        )
