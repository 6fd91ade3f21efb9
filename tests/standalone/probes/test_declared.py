"""Reading of readiness probes: defaults, names of ports, and what is refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from userproxy.standalone.probes.declared import Probe, Unusable, read_probe, unsupported


def container(**probe: Any) -> dict[str, Any]:
    return {"name": "c", "ports": [{"name": "web", "containerPort": 8080}], "readinessProbe": probe}


def test_defaults() -> None:
    probe = read_probe(container(tcpSocket={"port": 80}), "10.0.0.1")
    assert probe == Probe("10.0.0.1", 80, initial_delay=0, period=10, timeout=1, successes=1, failures=3)


def test_everything_given() -> None:
    request = {
        "path": "ready?now",
        "port": "web",
        "scheme": "HTTPS",
        "host": "127.0.0.9",
        "httpHeaders": [{"name": "Host", "value": "web.example"}],
    }
    timing = {
        "initialDelaySeconds": 3,
        "periodSeconds": 4,
        "timeoutSeconds": 5,
        "successThreshold": 6,
        "failureThreshold": 7,
    }
    assert read_probe(container(httpGet=request, **timing), "10.0.0.1") == Probe(
        "127.0.0.9", 8080, "https", "/ready?now", (("Host", "web.example"),), 3, 4, 5, 6, 7
    )


def test_zero_is_the_default() -> None:
    probe = read_probe(container(tcpSocket={"port": 80}, periodSeconds=0, failureThreshold=0), "10.0.0.1")
    assert (probe.period, probe.failures) == (10, 3)


@pytest.mark.parametrize(
    ("probe", "why"),
    [
        ({"exec": {"command": ["true"]}}, r"readinessProbe\.exec is not run here: use tcpSocket or httpGet"),
        ({"grpc": {"port": 1}}, r"readinessProbe\.grpc is not run here"),
        ({}, "must have one of"),
        ({"tcpSocket": {"port": 1}, "httpGet": {"port": 1}}, "must have one of"),
        ({"tcpSocket": {"port": "nameless"}}, "no port named 'nameless'"),
        ({"tcpSocket": {"port": 0}}, "must be a port number"),
        ({"tcpSocket": {"port": True}}, "must be a port number"),
        ({"tcpSocket": {"port": "70000"}}, "must be a port number"),
        ({"httpGet": {"port": 1, "scheme": "FTP"}}, "use HTTP or HTTPS"),
        ({"httpGet": {"port": 1, "httpHeaders": [{"name": "a", "value": "b\r\nc"}]}}, "line break"),
        ({"httpGet": {"port": 1, "path": "/ HTTP/1.1\r\nA: b"}}, "path holds a space or control"),
        ({"tcpSocket": {"port": 1}, "periodSeconds": "often"}, "periodSeconds must be a whole number"),
        ({"tcpSocket": {"port": 1}, "timeoutSeconds": -1}, "timeoutSeconds must be a whole number"),
    ],
)
def test_refused_by_name(probe: dict[str, Any], why: str) -> None:
    with pytest.raises(Unusable, match=why):
        read_probe(container(**probe), "10.0.0.1")


def test_the_writer_of_a_pod_is_warned() -> None:
    pod = {"spec": {"containers": [container(exec={"command": ["true"]}), container(tcpSocket={"port": 1})]}}
    (warning,) = unsupported(pod)
    assert warning.startswith("container 'c': readinessProbe.exec is not run here")


_SCALAR = st.sampled_from(
    [None, True, False, -1, 0, 1, 80, 70000, 10**30, 0.5, "", "web", "80", "/a b", "\n", "é"]
)
_JSON = _SCALAR | st.lists(_SCALAR, max_size=2) | st.lists(st.just({"name": "a", "value": 1}), max_size=2)
_FIELDS = ("port", "path", "host", "scheme", "httpHeaders", "name", "value")
_ACTION = _JSON | st.dictionaries(st.sampled_from(_FIELDS), _JSON | st.just(80), max_size=4)
_PROBE = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("tcpSocket", "httpGet", "exec", "periodSeconds", "timeoutSeconds"), _ACTION)
)


@settings(deadline=None)
@given(_PROBE)
def test_whatever_is_written_is_a_probe_or_refused(given_probe: dict[str, Any]) -> None:
    try:
        probe = read_probe(container(**given_probe), "10.0.0.1")
    except Unusable:
        return
    assert 1 <= probe.port <= 65535
    assert 1 <= probe.period <= 86400
    assert 1 <= probe.timeout <= 86400
