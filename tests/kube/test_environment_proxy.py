"""Which proxy of the environment a request takes, as kubectl would."""

from __future__ import annotations

import pytest

from userproxy.kube.environment_proxy import proxy_for

BOTH = {"HTTP_PROXY": "http://plain:1", "HTTPS_PROXY": "http://secure:2"}


@pytest.mark.parametrize(
    ("server", "environ", "expected"),
    [
        ("http://10.0.0.1:6443", {}, ""),
        ("http://10.0.0.1:6443", BOTH, "http://plain:1"),
        ("https://10.0.0.1:6443", BOTH, "http://secure:2"),
        ("https://10.0.0.1:6443", {"https_proxy": "secure:2"}, "http://secure:2"),
        ("http://127.0.0.1:8001", BOTH, ""),
        ("http://127.3.2.1:8001", BOTH, ""),
        ("http://localhost:8001", BOTH, ""),
        ("https://[::1]:6443", BOTH, ""),
    ],
)
def test_proxy(server: str, environ: dict[str, str], expected: str) -> None:
    assert proxy_for(server, environ) == expected


@pytest.mark.parametrize(
    ("server", "exceptions", "direct"),
    [
        ("https://10.0.0.1:6443", "*", True),
        ("https://10.0.0.1:6443", "10.0.0.1", True),
        ("https://10.0.0.1:6443", "10.0.0.1:6443", True),
        ("https://10.0.0.1:6443", "10.0.0.1:443", False),
        ("https://10.0.0.1:6443", "192.168.0.0/16, 10.0.0.0/8", True),
        ("https://10.0.0.1:6443", "10.0.0.0/33,bad/x", False),
        ("https://[fd00::1]:6443", "fd00::/8", True),
        ("https://[fd00::1]:6443", "fd00::1", True),
        ("https://[fd00::1]:6443", "[fd00::1]:6443", True),
        ("https://[fd00::1]:6443", "[fd00::1]:1", False),
        ("https://api.example.com", "example.com", True),
        ("https://example.com", "example.com", True),
        ("https://example.com", ".example.com", False),
        ("https://api.example.com", ".example.com", True),
        ("https://api.example.com", "*.example.com", True),
        ("https://api.example.com", "EXAMPLE.com:443", True),
        ("https://badexample.com", "example.com", False),
        ("https://api.example.com", " ,,", False),
    ],
)
def test_exceptions(server: str, exceptions: str, direct: bool) -> None:
    assert (proxy_for(server, BOTH | {"NO_PROXY": exceptions}) == "") == direct
    assert (proxy_for(server, BOTH | {"no_proxy": exceptions}) == "") == direct
