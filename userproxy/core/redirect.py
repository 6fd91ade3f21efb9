"""The rules that bring packets for a frontend to its listener, as text for nft and for iptables-restore.

Owns the wording of our nftables table and of our iptables chain, nothing else: no program is run here and no kernel state
is known here (`capture.redirect_nft` and `capture.redirect_iptables` do that). One map and one rule in each nat chain do
all the work, so a Service port costs one map element whatever its number of endpoints. The rules use destination NAT to an
address of our own and not `redirect`, because the kernel drops redirected packets that come in on an interface without
an address. Only the expressions that every kernel with NAT has are used: no comment, fib, conntrack, addrtype or numgen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from userproxy.model import CaptureEntry, Family, Frontend, family_of

TABLE = "userproxy"
"""Name of our nftables table, one for each family."""

CHAIN = "USERPROXY"
"""Name of our chain in the nat table of iptables and ip6tables."""

MAP = "services"

NFT_FAMILY = {Family.IPV4: "ip", Family.IPV6: "ip6"}

_PRIORITY = -110
"""Just before NF_IP_PRI_NAT_DST (-100), where kube-proxy and iptables sit: the first NAT rule that matches wins."""

_PROTOCOLS = {"TCP": "tcp", "UDP": "udp"}


# ---- nft ---------------------------------------------------------------------------------------------------------


def nft_full(
    entries: Iterable[CaptureEntry], families: Sequence[Family], *, forwarded: bool, table: str = TABLE
) -> str:
    """Return a script that makes `table` hold exactly `entries`, whatever it held before, in one transaction.

    `forwarded`: traffic of others (Pods routed through this host) is captured too, not only that of this namespace.
    Entries of a family outside `families` are left out.
    """
    lines: list[str] = []
    for family in families:
        lines += _nft_table(family, forwarded=forwarded, table=table)
    lines += _nft_elements("add", [entry for entry in entries if _family(entry) in families], table)
    return _script(lines)


def nft_change(add: Iterable[CaptureEntry], remove: Iterable[CaptureEntry], *, table: str = TABLE) -> str:
    """Return a script that deletes the elements of `remove`, then adds those of `add`, in one transaction.

    nft refuses the whole of it when an element of `remove` is absent or one of `add` is there with another listener.
    """
    return _script(_nft_elements("delete", remove, table) + _nft_elements("add", add, table))


def nft_delete(families: Iterable[Family], *, table: str = TABLE) -> str:
    """Return a script that removes `table` with all it holds; it does not fail when there is none."""
    return _script([line for family in families for line in _nft_absent(family, table)])


def _nft_absent(family: Family, table: str) -> list[str]:
    name = f"{NFT_FAMILY[family]} {table}"
    # Adding first makes the deletion succeed in either case; nft before 1.0.7 has no `destroy`.
    return [f"add table {name}", f"delete table {name}"]


def _nft_table(family: Family, *, forwarded: bool, table: str) -> list[str]:
    kind = NFT_FAMILY[family]
    name = f"{kind} {table}"
    address = "ipv6_addr" if family is Family.IPV6 else "ipv4_addr"
    lines = _nft_absent(family, table)
    lines.append(f"add table {name}")
    key, value = f"{address} . inet_proto . inet_service", f"{address} . inet_service"
    lines.append(f"add map {name} {MAP} {{ type {key} : {value}; }}")
    for hook in ("prerouting", "output") if forwarded else ("output",):
        lines.append(
            f"add chain {name} {hook} {{ type nat hook {hook} priority {_PRIORITY}; policy accept; }}"
        )
        lines.append(f"add rule {name} {hook} dnat to {kind} daddr . meta l4proto . th dport map @{MAP}")
    return lines


def nft_element(entry: CaptureEntry) -> str:
    """Return the map element of `entry` as nft shows it."""
    address, port = entry.listener
    return f"{_nft_key(entry.frontend)} : {address} . {port}"


def _nft_elements(verb: str, entries: Iterable[CaptureEntry], table: str) -> list[str]:
    elements: dict[Family, list[str]] = {}
    for entry in entries:
        text = nft_element(entry) if verb == "add" else _nft_key(entry.frontend)
        elements.setdefault(_family(entry), []).append(text)
    return [
        f"{verb} element {NFT_FAMILY[family]} {table} {MAP} {{\n" + ",\n".join(texts) + "\n}"
        for family, texts in sorted(elements.items())
    ]


def _nft_key(frontend: Frontend) -> str:
    return f"{frontend.address} . {_PROTOCOLS[frontend.protocol]} . {frontend.port}"


# ---- iptables ----------------------------------------------------------------------------------------------------


def iptables_rule(entry: CaptureEntry, *, chain: str = CHAIN) -> str:
    """Return the line of one entry, letter for letter as iptables-save prints it."""
    frontend = entry.frontend
    protocol = _PROTOCOLS[frontend.protocol]
    bits = 128 if _family(entry) is Family.IPV6 else 32
    address, port = entry.listener
    host = f"[{address}]" if ":" in address else address
    return (
        f"-A {chain} -d {frontend.address}/{bits} -p {protocol} -m {protocol} --dport {frontend.port} "
        f"-j DNAT --to-destination {host}:{port}"
    )


def iptables_full(entries: Iterable[CaptureEntry], *, jumps: Iterable[str], chain: str = CHAIN) -> str:
    """Return input for `iptables-restore --noflush` after which `chain` holds exactly `entries` (all of one family).

    `jumps` names the built-in chains (PREROUTING, OUTPUT) that have no jump to `chain` yet and get one in front.
    """
    lines = [f"-I {builtin} 1 -j {chain}" for builtin in jumps]
    return _restore([_declared(chain), *lines, *(iptables_rule(entry, chain=chain) for entry in entries)])


def iptables_change(
    add: Iterable[CaptureEntry], remove: Iterable[CaptureEntry], *, chain: str = CHAIN
) -> str:
    """Return input for `iptables-restore --noflush` that removes and adds single lines of one family.

    All of it is refused when a line of `remove` is absent.
    """
    gone = (iptables_rule(entry, chain=chain).replace("-A ", "-D ", 1) for entry in remove)
    return _restore([*gone, *(iptables_rule(entry, chain=chain) for entry in add)])


def iptables_delete(*, jumps: Iterable[str], chain: str = CHAIN) -> str:
    """Return input for `iptables-restore --noflush` that removes `chain` and the jumps to it.

    `jumps` names a built-in chain once for each jump that it holds.
    """
    return _restore([_declared(chain), *(f"-D {builtin} -j {chain}" for builtin in jumps), f"-X {chain}"])


def _declared(chain: str) -> str:
    # With --noflush, naming a chain of our own creates it, or empties it when it is there.
    return f":{chain} - [0:0]"


def _restore(lines: Sequence[str]) -> str:
    return _script(["*nat", *lines, "COMMIT"])


def _script(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _family(entry: CaptureEntry) -> Family:
    return family_of(entry.frontend.address)
