"""kube-proxy's command line is taken over: every flag means something, is ignored with a reason, or says what to do instead."""

from __future__ import annotations

import pytest

from userproxy.config import settings_of
from userproxy.configfile.kube_proxy_fields import FIELDS
from userproxy.configfile.kube_proxy_flags import BOOLEAN, FIELD_OF_FLAG, OWN, REFUSED, read_flags
from userproxy.errors import UsageError
from userproxy.setting import flag


def test_flags_name_fields_and_do_not_hide_our_own() -> None:
    ours = {flag(field.name)[2:] for field in settings_of("run")}
    assert set(FIELD_OF_FLAG.values()) <= set(FIELDS)
    assert ours >= OWN
    assert not ours & (FIELD_OF_FLAG.keys() | REFUSED.keys())
    assert not OWN & (FIELD_OF_FLAG.keys() | REFUSED.keys())
    assert not BOOLEAN - FIELD_OF_FLAG.keys() - REFUSED.keys()


def test_what_means_something_is_taken_and_the_rest_is_named() -> None:
    given = {"proxy-mode": "nftables", "v": "6", "masquerade-all": "true"}
    values, notes = read_flags(given)
    assert values == {"capture": "redirect-nft", "log_level": "debug"}
    assert notes == (
        "--masquerade-all is ignored: endpoints see an address of this node unless --transparent is given",
    )
    assert read_flags({"detect-local-mode": "NodeCIDR", "iptables-localhost-nodeports": "false"}) == (
        {"localhost_nodeports": False},
        ("--detect-local-mode=NodeCIDR is ignored: only ClusterCIDR is known here: --cluster-cidr",),
    )
    assert read_flags({"proxy-mode": "", "cleanup": "false"}) == ({}, ())


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"cleanup": "true"}, "--cleanup is a command here: userproxy cleanup"),
        ({"healthz-port": "0"}, "--healthz-port was deprecated"),
        ({"proxy-mode": "userspace"}, "--proxy-mode: 'userspace' cannot be used; write iptables, nftables"),
    ],
)
def test_what_cannot_be_ignored_is_refused(given: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_flags(given)
