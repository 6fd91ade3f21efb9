"""Compact values equal what they were made of, and share their parts."""

from __future__ import annotations

import msgspec

from tests.build import key, serving_of
from userproxy.core.plan import Serving
from userproxy.dataplane.compact import compact_key, compact_serving, compact_spec
from userproxy.model import ListenerSpec


def received(serving: Serving) -> Serving:
    """A copy as it comes over the wire."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(serving), type=Serving)


def test_servings_are_equal_and_share_numbers_and_names() -> None:
    sent = serving_of(key("web", "http"), [("10.0.0.1", 8080), ("10.0.0.2", 8080)])
    one, other = compact_serving(received(sent)), compact_serving(received(sent))
    assert one == sent
    assert len({id(port) for serving in (one, other) for _, port in serving.cluster}) == 1
    assert one.key.name.namespace is other.key.name.namespace
    assert one.key.name.port is other.key.name.port


def test_a_listener_takes_the_key_that_is_there() -> None:
    known = compact_key(key("web"))
    spec = ListenerSpec(key("web"), "169.254.77.1", 0, captured_only=True)
    made = compact_spec(spec, known)
    assert made == spec
    assert made.key is known
