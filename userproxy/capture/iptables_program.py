"""One of the programs of the iptables family, and what it says our chain holds.

Owns the names of the programs and the output of iptables-save. A host may have two variants at once, which keep their
rules apart: `nft` (iptables on nf_tables) and `legacy` (x_tables).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from userproxy.capture.commands import run
from userproxy.core.redirect import CHAIN
from userproxy.errors import CaptureError
from userproxy.model import Family

COMMANDS = ("iptables", "iptables-nft", "iptables-legacy")
"""In order of preference: what the host's administrator made the default comes first."""


class ChainState(msgspec.Struct, frozen=True):
    """What the nat table holds of ours."""

    exists: bool
    rules: tuple[str, ...]
    jumps: tuple[str, ...]
    """the built-in chains that jump to our chain, once for each jump"""


class IptablesProgram(msgspec.Struct, frozen=True):
    """A variant of iptables for both families."""

    command: str
    """one of COMMANDS"""
    variant: str
    """`nft` or `legacy`"""

    async def save(self, family: Family) -> str:
        """Return the nat table as iptables-save prints it. Raises CaptureError."""
        command = f"{self._command(family)}-save"
        text = await run([command, "-t", "nat"])
        # iptables-nft says so in a comment, prints no rule and ends with status 0.
        if "is incompatible, use 'nft' tool" in text:
            raise CaptureError(f"{command} cannot read the nat table, which holds rules written with nft")
        return text

    async def read(self, family: Family, chain: str = CHAIN) -> ChainState:
        """Return the state of a chain of ours. Raises CaptureError."""
        return parse_save(await self.save(family), chain)

    async def restore(self, family: Family, text: str) -> None:
        """Apply `text` in one transaction. Raises CaptureError."""
        await run([f"{self._command(family)}-restore", "--noflush", "-w"], text)

    def is_loaded(self, family: Family) -> bool:
        """Return whether this variant can hold rules of ours now; only reading would load the nat table of `legacy`."""
        if self.variant != "legacy":
            return True
        names = "ip6_tables_names" if family is Family.IPV6 else "ip_tables_names"
        try:
            return "nat" in Path("/proc/net", names).read_text("ascii").split()
        except OSError:  # the kernel has no x_tables for this family
            return False

    def _command(self, family: Family) -> str:
        return self.command.replace("iptables", "ip6tables") if family is Family.IPV6 else self.command


async def find_programs() -> list[IptablesProgram]:
    """Return the variants that run, the default one first. Raises CaptureError when there is none."""
    found: dict[str, IptablesProgram] = {}
    failures: list[CaptureError] = []
    for command in COMMANDS:
        try:
            version = await run([command, "--version"])
        except CaptureError as error:
            failures.append(error)
            continue
        variant = "nft" if "nf_tables" in version else "legacy"
        found.setdefault(variant, IptablesProgram(command, variant))
    if not found:
        raise failures[0]
    return list(found.values())


def parse_save(text: str, chain: str = CHAIN) -> ChainState:
    """Read the output of `iptables-save -t nat`."""
    lines = text.splitlines()
    rules = tuple(line for line in lines if line.startswith(f"-A {chain} "))
    exists = any(line.startswith(f":{chain} ") for line in lines)
    return ChainState(exists, rules, tuple(_jumps(lines, chain)))


def _jumps(lines: Iterable[str], chain: str) -> Iterable[str]:
    for line in lines:
        words = line.split()
        if len(words) == 4 and words[0] == "-A" and words[2:] == ["-j", chain]:
            yield words[1]
