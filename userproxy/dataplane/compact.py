"""What comes over the wire, made of values that the worker has already.

Owns nothing but this: each message brings its own copies of names and numbers, and ten thousand Service ports would hold every
one of them twice (many MB of a worker's 65 were such copies). Equal values stay equal.
"""

from __future__ import annotations

from functools import lru_cache
from sys import intern

from msgspec import structs

from userproxy.core.plan import Serving
from userproxy.model import Address, ListenerSpec, PortKey, ServicePortName


def compact_serving(serving: Serving) -> Serving:
    """Return `serving` with port numbers and the repeated parts of its key shared."""
    return structs.replace(
        serving,
        key=compact_key(serving.key),
        cluster=_addresses(serving.cluster),
        local=_addresses(serving.local),
    )


def compact_key(key: PortKey) -> PortKey:
    """Return `key` with the texts shared that many keys have: namespace, port name and protocol."""
    name = key.name
    shared = ServicePortName(intern(name.namespace), name.name, intern(name.port), intern(name.protocol))
    return PortKey(shared, key.family)


def compact_spec(spec: ListenerSpec, key: PortKey) -> ListenerSpec:
    """Return `spec` with `key`, which equals its own and is there already."""
    return structs.replace(spec, key=key, address=intern(spec.address))


def _addresses(addresses: tuple[Address, ...]) -> tuple[Address, ...]:
    return tuple([(host, _number(port)) for host, port in addresses])


@lru_cache(maxsize=65536)
def _number(port: int) -> int:
    """Return the one int object of this value; Python itself shares those up to 256 only."""
    return port
