"""Addresses from outside: canonical and unicast, or refused."""

from __future__ import annotations

import pytest

from userproxy.kube.addresses import quoted, usable_address
from userproxy.model import Family


@pytest.mark.parametrize(
    ("text", "family", "expected"),
    [
        ("10.1.2.3", Family.IPV4, "10.1.2.3"),
        ("127.0.0.1", Family.IPV4, "127.0.0.1"),
        ("10.1.2.03", Family.IPV4, None),
        ("010.1.2.3", Family.IPV4, None),
        ("10.1.2", Family.IPV4, None),
        ("0x0a.1.2.3", Family.IPV4, None),
        (" 10.1.2.3", Family.IPV4, None),
        ("10.1.2.3\0", Family.IPV4, None),
        ("10.1.2.\udc80", Family.IPV4, None),
        ("", Family.IPV4, None),
        ("0.0.0.0", Family.IPV4, None),
        ("224.0.0.1", Family.IPV4, None),
        ("255.255.255.255", Family.IPV4, None),
        ("fd00::1", Family.IPV4, None),
        ("FD00:0:0::0:1", Family.IPV6, "fd00::1"),
        ("::1", Family.IPV6, "::1"),
        ("::", Family.IPV6, None),
        ("ff02::1", Family.IPV6, None),
        ("fe80::1%eth0", Family.IPV6, None),
        ("::ffff:10.1.2.3", Family.IPV6, None),
        ("10.1.2.3", Family.IPV6, None),
    ],
)
def test_usable_address(text: str, family: Family, expected: str | None) -> None:
    assert usable_address(text, family) == expected


def test_outside_text_is_bounded_and_fits_one_line() -> None:
    assert quoted("a\nb") == '"a\\nb"'
    assert len(quoted("x" * 1000)) == 66
