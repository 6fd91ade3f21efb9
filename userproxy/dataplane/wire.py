"""What control process and workers say to each other, and how it gets through a socket.

Owns the messages (msgpack behind a length) and the passing of descriptors (SCM_RIGHTS, unix(7)). Plan values go to the worker,
counters come back. Decides nothing: `dataplane.pool` and `dataplane.worker` do.
"""

from __future__ import annotations

import array
import os
import socket
import struct
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import msgspec

from userproxy.core.affinity import MAX_CLIENTS, Told
from userproxy.core.counters import PortCounters
from userproxy.core.flows import Flow
from userproxy.core.inspection import Inspection
from userproxy.core.plan import Serving
from userproxy.dataplane.sockets import SocketSettings
from userproxy.dataplane.udp_sockets import UdpSettings
from userproxy.model import ListenerSpec, PortKey, PortOptions

TRANSPARENT = "transparent"
"""Argument of a worker that is to keep CAP_NET_RAW; before the first message, since it drops all others at its start."""
MAX_DESCRIPTORS = 200
"""Descriptors in one message; the kernel's limit is SCM_MAX_FD, 253."""
_HEADER = struct.Struct("!I")
_READ = 1 << 18
_ANCILLARY = socket.CMSG_SPACE(253 * array.array("i").itemsize)


class Setup(msgspec.Struct, tag=True, frozen=True):
    """The first message: who the worker is and how it relays."""

    index: int
    workers: int
    sockets: SocketSettings
    half_close_timeout: float
    max_connections: int
    flow_records: int = 0
    """records of ended connections that a worker keeps; 0: none"""
    affinity_clients: int = MAX_CLIENTS
    """clients remembered for session affinity"""
    udp: UdpSettings = UdpSettings()
    transparent: bool = False
    """endpoints may see the client's own address"""


class Serve(msgspec.Struct, tag=True, frozen=True):
    """Endpoints of Service ports: a `Serving` each, which a worker decodes when somebody uses the port."""

    servings: tuple[msgspec.Raw, ...]


class ServingHead(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a worker reads of every `Serving`: its first fields, those in between unread."""

    key: PortKey
    cluster: msgspec.Raw
    local: msgspec.Raw
    routes: msgspec.Raw
    options: PortOptions


class Listen(msgspec.Struct, tag=True, frozen=True):
    """Take connections or datagrams from listening sockets; as many descriptors as specifications come with the message."""

    specs: tuple[ListenerSpec, ...]


class Unlisten(msgspec.Struct, tag=True, frozen=True):
    """Take no more connections from these listening sockets and close them."""

    specs: tuple[ListenerSpec, ...]


class Forget(msgspec.Struct, tag=True, frozen=True):
    """Service ports that are gone."""

    keys: tuple[PortKey, ...]


class Follow(msgspec.Struct, tag=True, frozen=True):
    """Send the records of connections that are kept, and while `on` those to come."""

    on: bool


class Confirm(msgspec.Struct, tag=True, frozen=True):
    """Answer with Confirmed when everything before this message is in effect."""

    number: int


class Confirmed(msgspec.Struct, tag=True, frozen=True):
    """The answer to Confirm, with the number of connections open at that moment."""

    number: int
    connections: int


class Inspect(msgspec.Struct, tag=True, frozen=True):
    """Answer with Inspected: up to `limit` connections, and the turns of Service port `key`."""

    number: int
    key: PortKey | None
    limit: int


class Inspected(msgspec.Struct, tag=True, frozen=True):
    """The answer to Inspect."""

    number: int
    inspection: Inspection


class Report(msgspec.Struct, tag=True, frozen=True):
    """Sent several times a second, and so the sign of life: counters that changed, and totals of the worker."""

    counters: tuple[tuple[PortKey, PortCounters], ...]
    connections: int
    paused: int


class Flows(msgspec.Struct, tag=True, frozen=True):
    """Records of connections, the oldest first, and how many were lost because they came faster than they were sent."""

    records: tuple[Flow, ...]
    lost: int


class AffinityNews(msgspec.Struct, tag=True, frozen=True):
    """Affinity records that a worker made or changed, by Service port; the control process passes them to the others."""

    ports: tuple[tuple[PortKey, tuple[Told, ...]], ...]


ToWorker: TypeAlias = Setup | Serve | Listen | Unlisten | Forget | Follow | AffinityNews | Confirm | Inspect
ToControl: TypeAlias = Confirmed | Inspected | Report | Flows | AffinityNews
Message: TypeAlias = ToWorker | ToControl

_encoder = msgspec.msgpack.Encoder()
_decode = msgspec.msgpack.Decoder(Message).decode


decode_head = msgspec.msgpack.Decoder(ServingHead).decode
decode_serving = msgspec.msgpack.Decoder(Serving).decode


def serve(servings: Iterable[Serving]) -> Serve:
    """Return the message that tells workers of `servings`."""
    return Serve(tuple([msgspec.Raw(_encoder.encode(serving)) for serving in servings]))


def encode(message: Message) -> bytes:
    """Return what goes over the wire for `message`, to be sent to more than one."""
    body = _encoder.encode(message)
    return _HEADER.pack(len(body)) + body


class WireClosed(ConnectionError):
    """The other side is gone."""


class Wire:
    """One end of the socketpair, non-blocking. Whoever owns it watches for readability, and writability while `waiting`."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._incoming = bytearray()
        self._descriptors: deque[int] = deque()
        self._outgoing: deque[tuple[memoryview, Sequence[int]]] = deque()

    @property
    def waiting(self) -> bool:
        """Whether messages wait to be written."""
        return bool(self._outgoing)

    def send(self, message: Message | bytes, descriptors: Sequence[int] = ()) -> None:
        """Send `message`, as it is or encoded, or queue what the socket does not take until `flush`. Raises WireClosed."""
        data = memoryview(message if isinstance(message, bytes) else encode(message))
        if not self._outgoing:
            sent = self._write(data, descriptors)
            if sent == len(data):
                return
            if sent:
                # The descriptors went with the first bytes (unix(7)); the rest follows without them.
                data, descriptors = data[sent:], ()
        # Copies, since the caller may close its descriptors while the message still waits.
        self._outgoing.append((data, [os.dup(descriptor) for descriptor in descriptors]))
        self.flush()

    def flush(self) -> None:
        """Write what waits, as far as the socket takes it. Raises WireClosed."""
        while self._outgoing:
            data, copies = self._outgoing[0]
            sent = self._write(data, copies)
            if not sent:
                return
            close_all(copies)
            if sent < len(data):
                self._outgoing[0] = data[sent:], ()
            else:
                self._outgoing.popleft()

    def _write(self, data: memoryview, descriptors: Sequence[int]) -> int:
        """Return how many bytes the socket took."""
        rights = (
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        )
        try:
            return self.sock.sendmsg([data], rights, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise WireClosed(f"the other process is gone: {error}") from error

    def receive(self) -> Iterator[Message]:
        """Yield the messages that have arrived. Raises WireClosed at the end of the stream."""
        while True:
            try:
                data, ancillary, _, _ = self.sock.recvmsg(_READ, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            except OSError as error:
                raise WireClosed(f"the other process is gone: {error}") from error
            for level, kind, payload in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    self._descriptors.extend(array.array("i", payload))
            if not data:
                raise WireClosed("the other process closed the connection")
            self._incoming += data
            yield from self._complete()

    def take_descriptors(self, count: int) -> list[int]:
        """Return the descriptors that came with the message just received, in order."""
        return [self._descriptors.popleft() for _ in range(count)]

    def close(self) -> None:
        """Close the socket and every descriptor that nobody took or that was not sent."""
        self.sock.close()
        close_all(self._descriptors)
        self._descriptors.clear()
        for _, descriptors in self._outgoing:
            close_all(descriptors)
        self._outgoing.clear()

    def _complete(self) -> Iterator[Message]:
        start = 0
        while len(self._incoming) - start >= _HEADER.size:
            (size,) = _HEADER.unpack_from(self._incoming, start)
            end = start + _HEADER.size + size
            if len(self._incoming) < end:
                break
            body = bytes(self._incoming[start + _HEADER.size : end])
            start = end
            yield _decode(body)
        del self._incoming[:start]


def close_all(descriptors: Iterable[int]) -> None:
    """Close descriptors."""
    for descriptor in descriptors:
        os.close(descriptor)
