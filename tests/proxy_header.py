"""Reading PROXY protocol headers, as a strict receiver does it, for tests.

Written from HAProxy's doc/proxy-protocol.txt and on nothing of the package, so that a header made by it is checked, not echoed.
"""

from __future__ import annotations

import re
import socket
import struct

Address = tuple[str, int]

_LINE = re.compile(rb"PROXY (UNKNOWN|TCP4|TCP6)(?: (\S+) (\S+) (\d+) (\d+))?\r\n")
_SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
_FAMILIES = {0x11: (socket.AF_INET, 4, 12), 0x21: (socket.AF_INET6, 16, 36)}


def parse(data: bytes) -> tuple[int, Address | None, Address | None, bytes]:
    """Return version, client, destination (None: unknown) and the bytes behind the header. Raises ValueError."""
    if data.startswith(_SIGNATURE):
        return _binary(data)
    line = _LINE.match(data)
    if line is None or line.end() > 107:
        raise ValueError(f"no PROXY header: {data[:120]!r}")
    family, source, target, source_port, target_port = line.groups()
    rest = data[line.end() :]
    if family == b"UNKNOWN":
        return 1, None, None, rest
    kind = socket.AF_INET if family == b"TCP4" else socket.AF_INET6
    addresses = []
    for host, port in ((source, source_port), (target, target_port)):
        packed = socket.inet_pton(kind, host.decode())
        if int(port) > 65535 or str(int(port)).encode() != port:
            raise ValueError(f"port {port!r}")
        addresses.append((socket.inet_ntop(kind, packed), int(port)))
    return 1, addresses[0], addresses[1], rest


def _binary(data: bytes) -> tuple[int, Address | None, Address | None, bytes]:
    command, family, size = struct.unpack_from("!BBH", data, 12)
    body, rest = data[16 : 16 + size], data[16 + size :]
    if command != 0x21 or len(body) != size:
        raise ValueError(f"command {command:#x}, {len(body)} of {size} bytes")
    if family == 0:
        return 2, None, None, rest
    kind, width, expected = _FAMILIES[family]
    if size != expected:
        raise ValueError(f"{size} bytes of addresses")
    source, target = (socket.inet_ntop(kind, part) for part in (body[:width], body[width : 2 * width]))
    source_port, target_port = struct.unpack("!HH", body[-4:])
    return 2, (source, source_port), (target, target_port), rest
