"""Capture by iptables and ip6tables, for hosts where nft is not usable.

Owns the chain `USERPROXY` in their nat tables and one jump to it from each built-in chain. The text of the rules is made
by `core.redirect`; the proxy address and the routes of last resort belong to `reachability`. Creating the chain makes
the kernel load the built-in nat table; that stays, empty, when our chain is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from userproxy.capture.conntrack import StaleFlows
from userproxy.capture.entries import HeldEntries, of_families
from userproxy.capture.iptables_program import IptablesProgram, find_programs
from userproxy.capture.leftovers import remove_rules
from userproxy.capture.nft_generation import Generation, read_generation
from userproxy.capture.probing import PROBE_CHAIN, try_redirect
from userproxy.capture.reachability import Reachability
from userproxy.capture.settings import CaptureSettings
from userproxy.core.redirect import iptables_change, iptables_delete, iptables_full, iptables_rule
from userproxy.errors import CaptureError
from userproxy.model import CaptureEntry, Family, Probe

_LABEL = "redirect (iptables)"

_SINGLE_LINES = 64
"""A change of more entries rewrites the chain: each deleted line is a search through all of them."""


class RedirectIptables:
    """The iptables capture. One caller at a time; after a CaptureError call `repair` with all entries."""

    name = "redirect"

    def __init__(
        self, settings: CaptureSettings, families: Sequence[Family], program: IptablesProgram
    ) -> None:
        self.families = tuple(families)
        self.detail = f"iptables-{program.variant}"
        self._program = program
        self._builtins = _builtins(settings)
        self._is_set_up = False
        self._held = HeldEntries()
        self._stale_flows = StaleFlows()
        self._generation = Generation() if program.variant == "nft" else None
        self._reach = Reachability([settings.listener_address(family) for family in self.families])

    async def setup(self) -> None:
        """Install proxy addresses and empty chains, in place of whatever an earlier run left. Raises CaptureError."""
        self._is_set_up = True
        await remove_rules()
        self._reach.setup()
        await self._rewrite([])

    async def change(self, add: Sequence[CaptureEntry], remove: Sequence[CaptureEntry]) -> None:
        """Remove and add entries, in one transaction for each family. Raises CaptureError.

        Entries of a family that is not in use are left out.
        """
        add, remove = of_families(add, self.families), of_families(remove, self.families)
        if not add and not remove:
            return
        appeared, gone = self._held.change(add, remove)
        if len(add) + len(remove) > _SINGLE_LINES:
            await self._rewrite(self._held.entries())
        else:
            await self._write(
                {
                    family: iptables_change(of_families(add, [family]), of_families(remove, [family]))
                    for family in self.families
                    if of_families([*add, *remove], [family])
                },
                whole=False,
            )
        self._reach.add(appeared)
        self._reach.remove(gone)
        await self._stale_flows.forget(add, remove)

    async def repair(self, entries: Collection[CaptureEntry]) -> bool:
        """Make the kernel hold exactly `entries`; return whether anything had to be rewritten. Raises CaptureError.

        On nf_tables this costs one netlink question when no rule of any tool has changed; else the rules are read back.
        """
        wanted = of_families(entries, self.families)
        intact = self._held.equal(wanted) and await self._intact()
        if not intact:
            await self._rewrite(wanted)
            await self._stale_flows.forget(wanted)
        return self._reach.repair(self._held.addresses) or not intact

    async def teardown(self) -> None:
        """Remove chains and jumps, then routes and addresses. Raises CaptureError.

        Does nothing before `setup`: what is there then may belong to another process that runs.
        """
        if not self._is_set_up:
            return
        for family in self.families:
            state = await self._program.read(family)
            if state.exists:
                await self._program.restore(family, iptables_delete(jumps=state.jumps))
        if self._generation:
            self._generation.distrust()
        self._held.replace([])
        self._reach.teardown()

    async def _rewrite(self, entries: list[CaptureEntry]) -> None:
        texts: dict[Family, str] = {}
        for family in self.families:
            state = await self._program.read(family)
            jumps = [builtin for builtin in self._builtins if builtin not in state.jumps]
            texts[family] = iptables_full(of_families(entries, [family]), jumps=jumps)
        await self._write(texts, whole=True)
        self._held.replace(entries)

    async def _write(self, texts: dict[Family, str], *, whole: bool) -> None:
        before = read_generation() if self._generation else 0
        try:
            for family, text in texts.items():
                await self._program.restore(family, text)
        except BaseException:
            if self._generation:
                # One family may be written and the other not.
                self._generation.distrust()
            raise
        if self._generation:
            self._generation.written(before, whole=whole, transactions=len(texts))

    async def _intact(self) -> bool:
        if self._generation and self._generation.unchanged():
            return True
        generation = read_generation() if self._generation else 0
        for family in self.families:
            state = await self._program.read(family)
            rules = (iptables_rule(entry) for entry in of_families(self._held.entries(), [family]))
            jumps = set(self._builtins) <= set(state.jumps)
            if not (state.exists and jumps and Counter(state.rules) == Counter(rules)):
                return False
        if self._generation:
            self._generation.trust(generation)
        return True


async def probe(
    settings: CaptureSettings, families: Sequence[Family]
) -> tuple[Probe, IptablesProgram | None]:
    """Try each installed variant: install a chain and jumps, send a connection through, remove them.

    Returns the answer and the first variant that works.
    """
    try:
        programs = await find_programs()
    except CaptureError as error:
        return Probe(_LABEL, usable=False, reason=str(error)), None
    answers: list[Probe] = []
    for program in programs:
        answer = await _probe_program(settings, families, program)
        if answer.usable:
            return answer, program
        answers.append(answer)
    reasons = list(dict.fromkeys(answer.reason for answer in answers))
    return Probe(_LABEL, usable=False, reason="; ".join(reasons) or "iptables does not run"), None


async def _probe_program(
    settings: CaptureSettings, families: Sequence[Family], program: IptablesProgram
) -> Probe:
    async def install(entry: CaptureEntry, family: Family) -> None:
        await uninstall(family)
        text = iptables_full([entry], jumps=_builtins(settings), chain=PROBE_CHAIN)
        await program.restore(family, text)

    async def uninstall(family: Family) -> None:
        state = await program.read(family, PROBE_CHAIN)
        if state.exists:
            await program.restore(family, iptables_delete(jumps=state.jumps, chain=PROBE_CHAIN))

    return await try_redirect(
        f"redirect (iptables-{program.variant})", settings, families, install, uninstall
    )


def _builtins(settings: CaptureSettings) -> tuple[str, ...]:
    return ("OUTPUT",) if settings.sidecar else ("PREROUTING", "OUTPUT")
