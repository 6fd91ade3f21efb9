"""Rules of ours that an earlier run left in the kernel, of whatever way of capture.

Owns finding and removing them. A way of capture calls this before it installs its own rules, so that a redirect of a
crashed run never sends packets to a port that nobody listens on; `cleanup` calls it too.
"""

from __future__ import annotations

import logging

from userproxy.capture.commands import ProgramMissing, run
from userproxy.capture.iptables_program import IptablesProgram, find_programs, parse_save
from userproxy.capture.nft_generation import read_generation
from userproxy.capture.probing import PROBE_CHAIN, PROBE_TABLE
from userproxy.core.redirect import CHAIN, NFT_FAMILY, TABLE, iptables_delete
from userproxy.errors import CaptureError
from userproxy.model import Family

TRANSPARENT_TABLES = ("userproxy-transparent", "userproxy-transparent-probe")
"""See `transparent`."""

log = logging.getLogger(__name__)


async def remove_rules() -> list[str]:
    """Remove our nft tables and iptables chains and return one line for each. Raises CaptureError.

    What does not hold anything of ours is only read; a table that cannot be read is named in the log and passed over.
    """
    has_nf_tables = _has_nf_tables()
    removed = await _remove_tables() if has_nf_tables else []
    try:
        programs = await find_programs()
    except CaptureError as error:
        log.debug("no iptables rules to look for: %s", error)
        return removed
    for program in programs:
        if program.variant == "legacy" or has_nf_tables:
            for family in (family for family in Family if program.is_loaded(family)):
                removed += await _remove_chains(program, family)
    return removed


async def _remove_chains(program: IptablesProgram, family: Family) -> list[str]:
    try:
        saved = await program.save(family)
    except ProgramMissing:  # iptables without ip6tables
        return []
    except CaptureError as error:
        log.info("cannot look for rules of an earlier run: %s", error)
        return []
    removed: list[str] = []
    for chain in (CHAIN, PROBE_CHAIN):
        state = parse_save(saved, chain)
        if state.exists:
            await program.restore(family, iptables_delete(jumps=state.jumps, chain=chain))
            removed.append(f"iptables-{program.variant} chain {chain} (IPv{family.value})")
    return removed


async def _remove_tables() -> list[str]:
    ours = {f"table {kind} {name}" for kind in NFT_FAMILY.values() for name in (TABLE, PROBE_TABLE)}
    ours |= {f"table inet {name}" for name in TRANSPARENT_TABLES}
    try:
        tables = sorted(ours.intersection((await run(["nft", "list", "tables"])).splitlines()))
    except ProgramMissing:
        return []
    if tables:
        await run(["nft", "-f", "-"], "".join(f"delete {table}\n" for table in tables))
    return [f"nft {table}" for table in tables]


def _has_nf_tables() -> bool:
    try:
        read_generation()
    except CaptureError:
        return False
    return True
