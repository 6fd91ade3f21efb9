"""`userproxy test`: real connections to Service addresses, from this host and from a network namespace.

Owns sockets and their deadlines. What is tried and what outcomes mean is `core.connectivity`'s. That a connection was carried
is not concluded from its being accepted, which the kernel does, but read from the agent's list of open connections.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from userproxy.admin.client import AgentClient
from userproxy.core.addresses import address_text
from userproxy.core.connection_view import ConnectionsView, ConnectionView
from userproxy.core.connectivity import Outcome, Result, Trial, trials
from userproxy.core.target import parse_target
from userproxy.errors import AgentError, UsageError
from userproxy.model import Family, family_of

BATCH = 64
"""Trials at once."""
_LOOK_SECONDS = 0.05
_DNS_NAME = "kubernetes.default.svc"
_QUIET_SECONDS = 0.3
"""Without an agent to ask: a connection that is not reset for so long counts as carried."""

_DATAGRAM_SECONDS = 1.0
_DNS_PORT = 53
_DNS_QUESTION = bytes.fromhex("75700100000100000000000000" + "00020001")
"""Name servers of the root (RFC 1035 section 4): every DNS server answers, if only to refuse."""

MakeSocket = Callable[[int, int], socket.socket]
"""Makes a socket of a family and type in the network namespace that is meant."""


@dataclass
class _Attempt:
    """A TCP connection under test."""

    trial: Trial
    began: float = field(default_factory=time.monotonic)
    sock: socket.socket | None = None
    endpoint: str = ""
    failure: str = ""
    seconds: float = 0.0

    def done(self, *, endpoint: str = "", failure: str = "") -> None:
        self.endpoint, self.failure = endpoint, failure
        self.seconds = time.monotonic() - self.began


class Attempts:
    """Tries addresses from one place. `agent` None: there is none to ask."""

    def __init__(
        self,
        agent: AgentClient | None,
        seconds: float,
        source: str = "host",
        make: MakeSocket = socket.socket,
    ) -> None:
        self._agent = agent
        self._seconds = seconds
        self._source = source
        self._make = make

    async def run(self, trials: Iterable[Trial]) -> list[Result]:
        """Return the results in the order of the trials. Raises AgentError when the agent goes away."""
        wanted = list(trials)
        results: list[Result] = []
        for start in range(0, len(wanted), BATCH):
            results += await self._batch(wanted[start : start + BATCH])
        return results

    async def _batch(self, trials: Sequence[Trial]) -> list[Result]:
        tcp = [one for one in trials if one.protocol == "TCP" and not one.skip]
        udp = [one for one in trials if one.protocol == "UDP" and not one.skip]
        found = dict(zip(udp, await asyncio.gather(*(self._datagram(one) for one in udp)), strict=True))
        first = await self._connections(tcp)
        again = await self._connections([one for one in tcp if one.affinity and not first[one].failure])
        for one, attempt in first.items():
            found[one] = self._result(attempt, again.get(one))
        return [
            found[one] if one in found else Result(one, self._source, Outcome.SKIPPED, one.skip)
            for one in trials
        ]

    def _result(self, attempt: _Attempt, again: _Attempt | None) -> Result:
        trial, outcome, detail = attempt.trial, Outcome.OK, f"carried to {attempt.endpoint}"
        if attempt.failure:
            outcome, detail = Outcome.FAILED, attempt.failure
        elif again is not None and (again.failure or again.endpoint != attempt.endpoint):
            outcome = Outcome.FAILED
            detail = f"affinity: {attempt.endpoint} first, then {again.failure or again.endpoint}"
        elif again is not None:
            detail += ", twice (affinity)"
        elif not attempt.endpoint:
            detail = "connected"
        return Result(trial, self._source, outcome, detail, round(attempt.seconds, 4))

    # ---- TCP -----------------------------------------------------------------------------------------------------

    async def _connections(self, trials: Sequence[Trial]) -> dict[Trial, _Attempt]:
        attempts = [_Attempt(trial) for trial in trials]
        try:
            await asyncio.gather(*(self._connect(one) for one in attempts))
            await self._settle([one for one in attempts if not one.failure])
        finally:
            for one in attempts:
                if one.sock is not None:
                    # With a reset, so that nothing waits for an endpoint that never ends its side.
                    one.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    one.sock.close()
        return {one.trial: one for one in attempts}

    async def _connect(self, attempt: _Attempt) -> None:
        host, number = attempt.trial.address
        try:
            attempt.sock = sock = self._make(_af(host), socket.SOCK_STREAM)
            sock.setblocking(False)
            async with asyncio.timeout(self._seconds):
                await asyncio.get_running_loop().sock_connect(sock, (host, number))
        except TimeoutError:
            attempt.done(failure=f"no answer within {self._seconds:g} s")
        except ConnectionResetError as error:
            attempt.done(failure=_refused(error))
        except OSError as error:
            attempt.done(failure=_words(error))

    async def _settle(self, attempts: list[_Attempt]) -> None:
        """Find out for each connection whether an endpoint carries it."""
        ends = time.monotonic() + self._seconds
        quiet = time.monotonic() + _QUIET_SECONDS
        waiting = attempts
        while waiting:
            listed = await self._listed("carried")
            for one in waiting:
                carried = listed.get(_name(one.sock))
                if carried is not None:
                    one.done(endpoint=carried.endpoint)
                elif failure := _reset(one.sock):
                    one.done(failure=failure)
                elif self._agent is None and time.monotonic() > quiet:
                    one.done()
                elif time.monotonic() > ends:
                    one.done(failure=f"accepted, but carried to no endpoint within {self._seconds:g} s")
            waiting = [one for one in waiting if not one.seconds]
            if waiting:
                await asyncio.sleep(_LOOK_SECONDS)

    async def _listed(self, *states: str) -> dict[str, ConnectionView]:
        """Return the connections that are in one of these states, by the client's address."""
        if self._agent is None:
            return {}
        view = await asyncio.to_thread(self._agent.ask, "/connections", ConnectionsView)
        return {one.client: one for one in view.connections if one.state in states}

    # ---- UDP -----------------------------------------------------------------------------------------------------

    async def _datagram(self, trial: Trial) -> Result:
        """Send an empty datagram and see whether something, or an ICMP error, comes back, and whom the agent sent it to."""
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        try:
            with self._make(_af(trial.host), socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.connect(trial.address)
                sock.send(_DNS_QUESTION if trial.number == _DNS_PORT else b"")
                outcome = Outcome.OK
                try:
                    async with asyncio.timeout(min(self._seconds, _DATAGRAM_SECONDS)):
                        await loop.sock_recv(sock, 65535)
                except TimeoutError:
                    outcome = Outcome.UNANSWERED
                seconds = round(time.monotonic() - began, 4)
                flow = (await self._listed("answered", "unanswered")).get(_name(sock))
        except OSError as error:
            return Result(trial, self._source, Outcome.FAILED, _words(error))
        if outcome is Outcome.OK:
            return Result(
                trial, self._source, outcome, f"answered by {flow.endpoint}" if flow else "answered", seconds
            )
        sent = (
            f"sent to {flow.endpoint}, which did not answer" if flow else "an empty datagram was not answered"
        )
        return Result(trial, self._source, outcome, sent)


def service_trials(agent: AgentClient, wanted: Iterable[str]) -> Iterator[Trial]:
    """Yield what to try of the Services `wanted` (NAME or NAMESPACE/NAME; none: of all). Raises UserproxyError."""
    services = agent.status().services
    names = {name if "/" in name else f"default/{name}" for name in wanted}
    known = {f"{one.namespace}/{one.name}" for one in services}
    if missing := sorted(names - known):
        raise UsageError(f"--service: {missing[0]} is not served; `userproxy get services -A` lists what is")
    yield from trials(one for one in services if not names or f"{one.namespace}/{one.name}" in names)


def pod_trials(targets: Iterable[str], environment: Mapping[str, str]) -> Iterator[Trial]:
    """Yield what a Pod can try without an agent: `targets`, else the Service kubernetes. Raises UsageError."""
    for text in targets:
        target = parse_target(text)
        if not target.address or not target.port:
            raise UsageError(f"{text!r} is not an address to try; write ADDRESS:PORT or ADDRESS:PORT/udp")
        yield _plain_trial(text, "address", target.address, int(target.port), target.protocol)
    if targets:
        return
    host, port = (
        environment.get("KUBERNETES_SERVICE_HOST", ""),
        environment.get("KUBERNETES_SERVICE_PORT", "443"),
    )
    if not host or not port.isdigit():
        raise UsageError(
            "--pod: KUBERNETES_SERVICE_HOST is not set, so this is no Pod; give ADDRESS:PORT to try"
        )
    yield _plain_trial("kubernetes", "environment", host, int(port), "TCP")
    for found in _resolved(_DNS_NAME, int(port)):
        yield _plain_trial("kubernetes", "DNS", found, int(port), "TCP")


def _plain_trial(service: str, kind: str, host: str, number: int, protocol: str) -> Trial:
    family = "IPv6" if family_of(host) is Family.IPV6 else "IPv4"
    return Trial("", service, f"{number}/{protocol}", protocol, family, kind, host, number)


def _resolved(name: str, port: int) -> list[str]:
    """Return the addresses of a name; one that cannot be resolved is what a trial will say."""
    try:
        answers = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise AgentError(f"{name} cannot be resolved: {error.strerror}; is cluster DNS served?") from error
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


def _af(host: str) -> int:
    return socket.AF_INET6 if family_of(host) is Family.IPV6 else socket.AF_INET


def _name(sock: socket.socket | None) -> str:
    return address_text(sock.getsockname()[:2]) if sock is not None else ""


def _reset(sock: socket.socket | None) -> str:
    """Return why a connection is over, empty while it is not; an end in order counts as carried."""
    try:
        if sock is not None:
            sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return ""
    except OSError as error:
        return _refused(error)
    return ""


def _refused(error: OSError) -> str:
    return f"accepted, then {_words(error)}: no endpoint took it"


def _words(error: OSError) -> str:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return reason[:1].lower() + reason[1:]
