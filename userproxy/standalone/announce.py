"""What a person reads after `userproxy standalone` has started: the API's address, the Services, and a command that works.

Pure: makes lines from the status view. Printing them is the command line's work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from userproxy.core.addresses import address_text
from userproxy.core.plan import Verdict
from userproxy.core.status import ServicePortView, ServiceView
from userproxy.standalone.summary import ServiceRow, services_table


def announcement(url: str, capture: str, services: Iterable[ServiceView]) -> Iterator[str]:
    """Yield the lines to print; `capture` is the capture in use, `services` what is served now."""
    ports = [(service, port) for service in services for port in service.ports]
    yield f"API server: {url}   capture: {capture}"
    yield ""
    yield services_table([_row(service, port) for service, port in ports]).rstrip("\n")
    yield ""
    working = [_reachable(port) for _, port in ports if port.verdict is Verdict.CARRY and _reachable(port)]
    if working:
        yield "Try:  curl http://" + working[0] + "/"
    yield f"Look: curl {url}/api/v1/services   or: kubectl --server {url} get services"
    yield "Stop: Ctrl-C"


def _row(service: ServiceView, port: ServicePortView) -> ServiceRow:
    name = f"{port.port}:" if port.port else ""
    return ServiceRow(
        service.namespace,
        service.name,
        port.cluster_ip,
        f"{name}{port.number}/{port.protocol}",
        _reachable(port),
        tuple(address_text((one.address, one.port)) for one in port.endpoints if one.in_use),
    )


def _reachable(port: ServicePortView) -> str:
    """Return where clients on this machine connect, empty when nowhere; port 80 is left out, as people write it."""
    for frontend in port.frontends:
        if frontend.port == 80 and ":" not in frontend.address:
            return frontend.address
        return address_text((frontend.address, frontend.port))
    return next((address_text((one.address, one.port)) for one in port.listeners if one.open), "")
