"""The rows of kube-proxy's behaviour (v1.36.2) that userproxy answers for: shown by a test, or said to differ and why.

Owns the list, the reasons and the page made of them: python3 -m tests.conformance.rows > deploy/conformance.md
A test shows a row by its name (`test_row_1_3_8_...`) or by the row in its id (`1.3.8`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.conformance.case import cases

TESTS = Path(__file__).parents[1]

SECTIONS: dict[str, tuple[str, int]] = {
    "1.1": ("Which objects are seen", 10),
    "1.2": ("Service kinds and addresses", 14),
    "1.3": ("Merging EndpointSlices", 14),
    "1.4": ("Choosing endpoints, fallback, topology", 19),
    "1.5": ("Session affinity", 9),
    "1.6": ("Traffic policies, source address, hairpin", 11),
    "1.7": ("loadBalancerSourceRanges", 7),
    "1.8": ("Node port addresses", 6),
    "1.9": ("healthCheckNodePort", 12),
    "1.11": ("UDP and conntrack", 6),
}
"""Each section with its number of rows; 1.0, the verdict matrix, stands beside them."""

DIFFERS: dict[str, str] = {
    "1.0": "Without any usable endpoint traffic is dropped by default; `--no-endpoints reject` gives kube-proxy's refusals. A "
    "port that a Service does not have, and an unallocated address of a ServiceCIDR, are left to routing, as in iptables mode. "
    "While a Service has no endpoint, `loadBalancerSourceRanges` do not turn its refusal into a drop.",
    "1.1.4": "ServiceCIDRs are not watched: unallocated addresses are left to routing.",
    "1.1.5": "Nothing else is watched either; beyond that, Events about Services are written.",
    "1.1.9": "There is no periodic resync; each watch is restarted every few minutes and continues where it was.",
    "1.2.13": "Addresses with leading zeros are skipped and named: what one program reads as decimal another reads as octal.",
    "1.4.18": "A failed dial goes on to the next endpoint; the client sees nothing of it. Passive ejection can be asked for.",
    "1.5.8": "There is no ipvs mode.",
    "1.6.5": "Endpoints see the node's address as source, whatever the traffic: connections are relayed. "
    "`userproxy.dev/proxy-protocol` tells the client's address to endpoints that understand it. "
    "With `--transparent` they see the client itself as the source of TCP connections where kube-proxy does not masquerade.",
    "1.6.7": "The client's address is kept with `--transparent` only; the policy's choice of endpoints always is.",
    "1.6.9": "The same for Pods; with `--transparent` their address is kept.",
    "1.6.10": "No accept rules are installed; a node whose INPUT chain drops by default must let Pods reach the proxy address.",
    "1.6.11": "Nothing is forwarded, so nothing has to be dropped as INVALID.",
    "1.8.5": "127.0.0.1 and ::1 answer node ports too, in every mode and without any kernel setting; "
    "`--no-localhost-nodeports` turns that off.",
    "1.8.6": "The host's addresses are looked at every five seconds.",
    "1.11.1": "Flows live in userspace and follow every plan; entries of conntrack are deleted when a frontend is captured or "
    "released, and after a repair.",
    "1.11.4": "Without a serving endpoint the datagrams of a flow are dropped or rejected like those of new clients; answers "
    "that are under way still arrive where they are dropped.",
    "1.9.12": "Without a health server healthCheckNodePort answers all the same.",
}
"""Rows that are not, or not quite, as kube-proxy has them."""


def all_rows() -> list[str]:
    """Return every row's number in order."""
    return [
        "1.0",
        *(f"{section}.{number + 1}" for section, (_, count) in SECTIONS.items() for number in range(count)),
    ]


def shown() -> dict[str, set[str]]:
    """Return for each row the tests whose names or ids have it, as `file::test`."""
    found: dict[str, set[str]] = defaultdict(set)
    for case in cases():
        for row in case.rows:
            found[row].add(f"conformance/cases: {case.id}")
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text()
        where = path.relative_to(TESTS)
        for name in re.findall(r"def (test_rows?_\d\w*)", text):
            for row in re.findall(r"(?<=[_s])1_(?:11|\d)_\d+", name):
                found[row.replace("_", ".")].add(f"{where}::{name}")
        if path.parent.name != "conformance":
            for row in re.findall(r'"(1\.(?:11|[1-9])\.\d+)"', text):
                found[row].add(str(where))
    return found


def lines() -> Iterator[str]:
    """Yield the lines of the page."""
    tests = shown()
    yield "# Conformance with kube-proxy"
    yield ""
    yield "Made by `python3 -m tests.conformance.rows > deploy/conformance.md`; a test keeps them equal. The rows are the"
    yield "behaviours of kube-proxy 1.36.2 (nftables mode where its modes differ). Each is shown by tests, or differs."
    yield ""
    yield "| row | | shown by |"
    yield "|---|---|---|"
    for row in all_rows():
        section = row.rpartition(".")[0]
        if row.endswith(".1") and section in SECTIONS:
            yield f"| **{section}** | **{SECTIONS[section][0]}** | |"
        by = ", ".join(f"`{test}`" for test in sorted(tests.get(row, ())))
        yield f"| {row} | {DIFFERS.get(row, '')} | {by} |"


if __name__ == "__main__":
    print("\n".join(lines()))
