"""Capture by nftables: one table of our own with one map, and one rule in each NAT chain.

Owns the table `userproxy` of families ip and ip6, its filling and its repair. The text of the rules is made by
`core.redirect`; the proxy address and the routes of last resort belong to `reachability`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from userproxy.capture.commands import ProgramMissing, run
from userproxy.capture.conntrack import StaleFlows
from userproxy.capture.entries import HeldEntries, of_families
from userproxy.capture.leftovers import remove_rules
from userproxy.capture.nft_generation import Generation, read_generation
from userproxy.capture.nft_listing import parse_listing
from userproxy.capture.probing import PROBE_TABLE, try_redirect
from userproxy.capture.reachability import Reachability
from userproxy.capture.settings import CaptureSettings
from userproxy.core.redirect import NFT_FAMILY, TABLE, nft_change, nft_delete, nft_full
from userproxy.errors import CaptureError
from userproxy.model import CaptureEntry, Family, Probe

_LABEL = "redirect (nft)"


class RedirectNft:
    """The nftables capture. One caller at a time; after a CaptureError call `repair` with all entries."""

    name = "redirect"
    detail = "nft"

    def __init__(self, settings: CaptureSettings, families: Sequence[Family]) -> None:
        self.families = tuple(families)
        self._forwarded = not settings.sidecar
        self._is_set_up = False
        self._held = HeldEntries()
        self._stale_flows = StaleFlows()
        self._generation = Generation()
        self._shapes: dict[Family, tuple[str, ...]] = {}
        self._reach = Reachability([settings.listener_address(family) for family in self.families])

    async def setup(self) -> None:
        """Install proxy addresses and empty tables, in place of whatever an earlier run left. Raises CaptureError."""
        self._is_set_up = True
        await remove_rules()
        self._reach.setup()
        await self._rewrite([])
        for family in self.families:
            # What nft prints for our rules differs between its versions, so it is compared with its own words.
            self._shapes[family] = parse_listing(await _list(family)).shape

    async def change(self, add: Sequence[CaptureEntry], remove: Sequence[CaptureEntry]) -> None:
        """Remove and add entries in one transaction. Raises CaptureError; then no entry has changed.

        Entries of a family that is not in use are left out.
        """
        add, remove = of_families(add, self.families), of_families(remove, self.families)
        if not add and not remove:
            return
        await self._write(nft_change(add, remove), whole=False)
        appeared, gone = self._held.change(add, remove)
        self._reach.add(appeared)
        self._reach.remove(gone)
        await self._stale_flows.forget(add, remove)

    async def repair(self, entries: Collection[CaptureEntry]) -> bool:
        """Make the kernel hold exactly `entries`; return whether anything had to be rewritten. Raises CaptureError.

        Costs one netlink question when no rule of any tool has changed since the last look.
        """
        wanted = of_families(entries, self.families)
        intact = self._held.equal(wanted) and await self._intact()
        if not intact:
            await self._rewrite(wanted)
            await self._stale_flows.forget(wanted)
        return self._reach.repair(self._held.addresses) or not intact

    async def teardown(self) -> None:
        """Remove tables, then routes and addresses. Raises CaptureError.

        Does nothing before `setup`: what is there then may belong to another process that runs.
        """
        if not self._is_set_up:
            return
        await self._write(nft_delete(self.families), whole=False)
        self._generation.distrust()
        self._held.replace([])
        self._reach.teardown()

    async def _rewrite(self, entries: list[CaptureEntry]) -> None:
        await self._write(nft_full(entries, self.families, forwarded=self._forwarded), whole=True)
        self._held.replace(entries)

    async def _write(self, script: str, *, whole: bool) -> None:
        before = read_generation()
        try:
            await _nft(script)
        except BaseException:
            # Cancelled or killed, the transaction may or may not have happened.
            self._generation.distrust()
            raise
        self._generation.written(before, whole=whole)

    async def _intact(self) -> bool:
        if self._generation.unchanged():
            return True
        generation = read_generation()
        found: dict[tuple[str, str, int], tuple[str, int]] = {}
        for family in self.families:
            try:
                listing = parse_listing(await _list(family))
            except ProgramMissing:
                raise
            except CaptureError:  # the table is gone or not ours any more
                return False
            if listing.shape != self._shapes.get(family):
                return False
            found |= listing.elements
        wanted = {
            (entry.frontend.address, entry.frontend.protocol, entry.frontend.port): entry.listener
            for entry in self._held.entries()
        }
        if found != wanted:
            return False
        self._generation.trust(generation)
        return True


async def probe(settings: CaptureSettings, families: Sequence[Family]) -> Probe:
    """Install a table with the same map and rules, send a connection through it, list it as JSON, remove it."""

    async def install(entry: CaptureEntry, family: Family) -> None:
        script = nft_full([entry], [family], forwarded=not settings.sidecar, table=PROBE_TABLE)
        await _nft(script)
        parse_listing(await _list(family, PROBE_TABLE))
        read_generation()

    async def uninstall(family: Family) -> None:
        await _nft(nft_delete([family], table=PROBE_TABLE))

    return await try_redirect(_LABEL, settings, families, install, uninstall)


async def _nft(script: str) -> None:
    await run(["nft", "-f", "-"], script)


async def _list(family: Family, table: str = TABLE) -> str:
    return await run(["nft", "-j", "list", "table", NFT_FAMILY[family], table])
