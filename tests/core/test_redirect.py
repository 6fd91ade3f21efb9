"""The text of the rules. That the kernel accepts it and acts on it is shown in tests/capture."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from userproxy.core.redirect import (
    iptables_change,
    iptables_delete,
    iptables_full,
    iptables_rule,
    nft_change,
    nft_delete,
    nft_full,
)
from userproxy.model import CaptureEntry, Family, Frontend

BOTH = (Family.IPV4, Family.IPV6)

WEB = CaptureEntry(Frontend("10.96.0.1", 80, "TCP"), ("169.254.77.1", 5000))
DNS = CaptureEntry(Frontend("10.96.0.10", 53, "UDP"), ("169.254.77.1", 5001))
SIX = CaptureEntry(Frontend("fd00:96::1", 443, "TCP"), ("fd77:7573:6572::1", 5002))

numbers = st.integers(1, 65535)
entries = st.lists(
    st.builds(
        CaptureEntry,
        st.builds(
            Frontend,
            st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str),
            numbers,
            st.sampled_from(["TCP", "UDP"]),
        ),
        st.tuples(st.just("127.0.0.1"), numbers),
    ),
    unique_by=lambda entry: entry.frontend,
)


def test_full_script_for_a_node() -> None:
    assert nft_full([WEB, DNS], [Family.IPV4], forwarded=True) == (
        "add table ip userproxy\n"
        "delete table ip userproxy\n"
        "add table ip userproxy\n"
        "add map ip userproxy services "
        "{ type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }\n"
        "add chain ip userproxy prerouting "
        "{ type nat hook prerouting priority -110; policy accept; }\n"
        "add rule ip userproxy prerouting dnat to ip daddr . meta l4proto . th dport map @services\n"
        "add chain ip userproxy output { type nat hook output priority -110; policy accept; }\n"
        "add rule ip userproxy output dnat to ip daddr . meta l4proto . th dport map @services\n"
        "add element ip userproxy services {\n"
        "10.96.0.1 . tcp . 80 : 169.254.77.1 . 5000,\n"
        "10.96.0.10 . udp . 53 : 169.254.77.1 . 5001\n"
        "}\n"
    )


def test_full_script_without_entries_adds_no_element() -> None:
    assert "element" not in nft_full([], BOTH, forwarded=True)


def test_a_sidecar_has_no_prerouting_chain() -> None:
    script = nft_full([WEB], BOTH, forwarded=False)
    assert "prerouting" not in script
    assert script.count("hook output") == 2


def test_each_family_has_a_table_of_its_own() -> None:
    script = nft_full([WEB, SIX], BOTH, forwarded=False)
    assert "add element ip userproxy services {\n10.96.0.1 . tcp . 80" in script
    assert (
        "add element ip6 userproxy services {\nfd00:96::1 . tcp . 443 : fd77:7573:6572::1 . 5002\n}" in script
    )
    assert "dnat to ip6 daddr" in script


def test_entries_of_a_family_not_in_use_are_left_out() -> None:
    assert "fd00:96::1" not in nft_full([WEB, SIX], [Family.IPV4], forwarded=True)


def test_change_deletes_before_it_adds() -> None:
    moved = CaptureEntry(WEB.frontend, ("169.254.77.1", 6000))
    assert nft_change([moved], [WEB, SIX]) == (
        "delete element ip userproxy services {\n10.96.0.1 . tcp . 80\n}\n"
        "delete element ip6 userproxy services {\nfd00:96::1 . tcp . 443\n}\n"
        "add element ip userproxy services {\n10.96.0.1 . tcp . 80 : 169.254.77.1 . 6000\n}\n"
    )


def test_an_empty_change_is_an_empty_script() -> None:
    assert nft_change([], []) == ""


def test_delete_script_adds_the_table_first_so_that_it_cannot_fail() -> None:
    assert nft_delete([Family.IPV6], table="other") == "add table ip6 other\ndelete table ip6 other\n"


@given(entries)
def test_every_entry_is_one_element_in_full_and_change(drawn: list[CaptureEntry]) -> None:
    full = nft_full(drawn, BOTH, forwarded=True)
    change = nft_change(drawn, drawn)
    for entry in drawn:
        protocol = entry.frontend.protocol.lower()
        key = f"\n{entry.frontend.address} . {protocol} . {entry.frontend.port}"
        element = f"{key} : 127.0.0.1 . {entry.listener[1]}"
        assert full.count(element) == 1
        assert change.count(element) == 1
        assert change.count(f"{key},") + change.count(f"{key}\n") == 1


@given(entries)
def test_only_expressions_that_every_kernel_has(drawn: list[CaptureEntry]) -> None:
    script = nft_full(drawn, BOTH, forwarded=True)
    for word in ("comment", "fib", "ct ", "numgen", "redirect", "counter", "masquerade"):
        assert word not in script


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (
            WEB,
            (
                "-A USERPROXY -d 10.96.0.1/32 -p tcp -m tcp --dport 80 "
                "-j DNAT --to-destination 169.254.77.1:5000"
            ),
        ),
        (
            DNS,
            (
                "-A USERPROXY -d 10.96.0.10/32 -p udp -m udp --dport 53 "
                "-j DNAT --to-destination 169.254.77.1:5001"
            ),
        ),
        (
            SIX,
            (
                "-A USERPROXY -d fd00:96::1/128 -p tcp -m tcp --dport 443 "
                "-j DNAT --to-destination [fd77:7573:6572::1]:5002"
            ),
        ),
    ],
)
def test_iptables_rule(entry: CaptureEntry, line: str) -> None:
    assert iptables_rule(entry) == line


def test_iptables_full_declares_the_chain_and_adds_missing_jumps() -> None:
    assert iptables_full([WEB], jumps=["PREROUTING", "OUTPUT"]) == (
        "*nat\n"
        ":USERPROXY - [0:0]\n"
        "-I PREROUTING 1 -j USERPROXY\n"
        "-I OUTPUT 1 -j USERPROXY\n"
        f"{iptables_rule(WEB)}\n"
        "COMMIT\n"
    )


def test_iptables_change_deletes_before_it_adds() -> None:
    assert iptables_change([DNS], [WEB]) == (
        "*nat\n"
        "-D USERPROXY -d 10.96.0.1/32 -p tcp -m tcp --dport 80 "
        "-j DNAT --to-destination 169.254.77.1:5000\n"
        f"{iptables_rule(DNS)}\n"
        "COMMIT\n"
    )


def test_iptables_delete_removes_every_jump_before_the_chain() -> None:
    assert iptables_delete(jumps=["OUTPUT", "OUTPUT"], chain="OTHER") == (
        "*nat\n:OTHER - [0:0]\n-D OUTPUT -j OTHER\n-D OUTPUT -j OTHER\n-X OTHER\nCOMMIT\n"
    )
