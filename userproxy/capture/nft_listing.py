"""Reading what nft says our table holds.

Owns the JSON of libnftables (libnftables-json(5)) as far as our own table uses it. What the table ought to hold is not
known here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from userproxy.core.redirect import MAP
from userproxy.errors import CaptureError
from userproxy.model import Address

_PROTOCOL_NAMES = {"tcp": "TCP", "udp": "UDP", 6: "TCP", 17: "UDP"}
"""nft prints numbers where /etc/protocols is missing, as in slim container images."""


class TableListing(msgspec.Struct, frozen=True):
    """The content of one table: the elements of our map, and everything else as comparable text without handles."""

    shape: tuple[str, ...]
    elements: dict[tuple[str, str, int], Address]
    """listener by address, protocol and port of the frontend"""


def parse_listing(text: str) -> TableListing:
    """Read the output of `nft -j list table`. Raises CaptureError when an element is not one that we write."""
    shape: list[str] = []
    elements: dict[tuple[str, str, int], Address] = {}
    try:
        for item in msgspec.json.decode(text)["nftables"]:
            (kind, content), *_ = item.items()
            if kind == "metainfo":
                continue
            if kind == "map" and content["name"] == MAP:
                elements.update(map(_element, content.pop("elem", ())))
            content.pop("handle", None)
            shape.append(msgspec.json.encode({kind: content}, order="deterministic").decode())
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CaptureError(f"nft lists our table in an unexpected form: {error!r}") from error
    return TableListing(tuple(shape), elements)


def _element(pair: Any) -> tuple[tuple[str, str, int], Address]:
    key, value = pair
    address, protocol, port = key["concat"]
    listener, listener_port = value["concat"]
    return (str(address), _PROTOCOL_NAMES[protocol], int(port)), (str(listener), int(listener_port))
