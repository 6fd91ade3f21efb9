"""Readiness probes as Pods declare them, brought into values that can be carried out.

Pure. Owns defaults and bounds (`pkg/apis/core/v1/defaults.go`, SetDefaults_Probe) and names what is not run here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from userproxy.standalone.objects import Json

_UNSUPPORTED = ("exec", "grpc")
_LONGEST = 24 * 3600
"""Bound of every time of a probe, in seconds."""


class Probe(msgspec.Struct, frozen=True):
    """One probe. Times in seconds; `path` is empty for a probe that only connects."""

    host: str
    port: int
    scheme: str = ""
    path: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    initial_delay: int = 0
    period: int = 10
    timeout: int = 1
    successes: int = 1
    failures: int = 3


class Unusable(Exception):
    """A probe that is not run here; its text says which field and what to do."""


def containers_with_probes(pod: Json) -> list[Json]:
    """Return the containers of a Pod that have a readiness probe, sidecars (KEP-753) included."""
    spec = pod["spec"]
    sidecars = [item for item in spec.get("initContainers", []) if item.get("restartPolicy") == "Always"]
    return [item for item in [*(spec["containers"] or []), *sidecars] if item.get("readinessProbe")]


def read_probe(container: Json, address: str) -> Probe:
    """Return the probe of a container of a Pod with that address. Raises Unusable."""
    given = container["readinessProbe"]
    if not isinstance(given, dict):
        raise Unusable("readinessProbe must be an object")
    for name in _UNSUPPORTED:
        if given.get(name) is not None:
            raise Unusable(f"readinessProbe.{name} is not run here: use tcpSocket or httpGet")
    timing: dict[str, Any] = {
        "initial_delay": _seconds(given, "initialDelaySeconds", 0, least=0),
        "period": _seconds(given, "periodSeconds", 10),
        "timeout": _seconds(given, "timeoutSeconds", 1),
        "successes": _seconds(given, "successThreshold", 1),
        "failures": _seconds(given, "failureThreshold", 3),
    }
    connect, request = given.get("tcpSocket"), given.get("httpGet")
    if isinstance(connect, dict) and request is None:
        port = _port(container, connect.get("port"), "tcpSocket")
        return Probe(str(connect.get("host") or address), port, **timing)
    if not isinstance(request, dict) or connect is not None:
        raise Unusable("readinessProbe must have one of tcpSocket and httpGet")
    scheme = str(request.get("scheme") or "HTTP").lower()
    if scheme not in ("http", "https"):
        raise Unusable(f"readinessProbe.httpGet.scheme {scheme.upper()!r} is unknown: use HTTP or HTTPS")
    path = str(request.get("path") or "/")
    if any(letter <= " " or letter == "\x7f" for letter in path):
        raise Unusable("readinessProbe.httpGet.path holds a space or control character: write it as %20")
    return Probe(
        str(request.get("host") or address),
        _port(container, request.get("port"), "httpGet"),
        scheme,
        path if path.startswith("/") else f"/{path}",
        _headers(request.get("httpHeaders")),
        **timing,
    )


def unsupported(pod: Json) -> tuple[str, ...]:
    """Return a warning for each probe of a Pod that is not run here."""
    found = []
    for container in containers_with_probes(pod):
        try:
            read_probe(container, "127.0.0.1")
        except Unusable as fault:
            found.append(f"container {container['name']!r}: {fault}; the Pod stays not ready")
    return tuple(found)


def _seconds(given: Json, field: str, default: int, *, least: int = 1) -> int:
    number = given.get(field, default)
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise Unusable(f"readinessProbe.{field} must be a whole number, 0 or more")
    # zero means the default, as at a real server
    return min(max(number or default, least), _LONGEST)


def _port(container: Json, given: object, action: str) -> int:
    if isinstance(given, str):
        for port in container.get("ports", []):
            if port.get("name") == given:
                return int(port["containerPort"])
        if not given.isdecimal() or len(given) > 5:
            raise Unusable(f"readinessProbe.{action}.port: the container has no port named {given!r}")
        given = int(given)
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= 65535:
        raise Unusable(f"readinessProbe.{action}.port must be a port number or the name of a container port")
    return given


def _headers(given: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(given, list):
        return ()
    pairs = [
        (str(entry.get("name", "")), str(entry.get("value", "")))
        for entry in given
        if isinstance(entry, dict)
    ]
    if any(not name or "\n" in name + text or "\r" in name + text for name, text in pairs):
        raise Unusable("readinessProbe.httpGet.httpHeaders: a header has no name or holds a line break")
    return tuple(pairs)
