"""Whether any nftables ruleset of this network namespace changed since ours was last known to be right.

Owns the comparison of generation numbers. The kernel counts every committed transaction, of whatever tool, so an
unchanged number proves that our rules are untouched without listing them.
"""

from __future__ import annotations

import struct

from userproxy.capture.netlink import NETLINK_NETFILTER, Message, Netlink, attributes, meaning
from userproxy.errors import CaptureError

_NFT_MSG_GETGEN = 10 << 8 | 16
"""NFNL_SUBSYS_NFTABLES and the message number (linux/netfilter/nf_tables.h)."""
_NFGENMSG = struct.Struct("=BBH")
_NFTA_GEN_ID = 1


def read_generation() -> int:
    """Return the number of the ruleset's generation. Raises CaptureError without nf_tables or without CAP_NET_ADMIN."""
    with Netlink(NETLINK_NETFILTER) as netlink:
        answer = netlink.query([Message(_NFT_MSG_GETGEN, 0, _NFGENMSG.pack(0, 0, 0))])[0]
    if isinstance(answer, int):
        raise CaptureError(f"the kernel refuses to tell the nftables generation: {meaning(answer)}")
    raw = attributes(answer.payload, _NFGENMSG.size).get(_NFTA_GEN_ID, b"")
    return int.from_bytes(raw, "big")


class Generation:
    """The generation at which our rules were last known to be right, if they are still trusted."""

    def __init__(self) -> None:
        self._trusted: int | None = None

    def unchanged(self) -> bool:
        """Return whether nobody changed any rule since `trust` or `written`."""
        return self._trusted is not None and self._trusted == read_generation()

    def trust(self, generation: int) -> None:
        """Remember that our rules were seen to be right at `generation`."""
        self._trusted = generation

    def distrust(self) -> None:
        """Forget what was known, because a write failed or was broken off."""
        self._trusted = None

    def written(self, before: int, *, whole: bool, transactions: int = 1) -> None:
        """Take over our own write, that began at generation `before` and was of so many transactions.

        `whole`: everything was written, so it does not matter what was there. Else our rules are right only if they were
        right at `before`. Transactions of others in between make it unknown.
        """
        known = whole or self._trusted == before
        after = before + transactions
        self._trusted = after if known and read_generation() == after else None
