"""What a person reads after `userproxy standalone` has started: the API's address, the Services, and commands that work.

Makes lines from the status view. Printing them is the command line's work.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from userproxy.core.addresses import AdminAddress, address_text
from userproxy.core.policy import Verdict
from userproxy.core.status import ServicePortView, ServiceView
from userproxy.standalone.listening import ApiListeners
from userproxy.standalone.summary import ServiceRow, services_table

ADD = (
    """echo '{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{"selector":{"app":"web"},"""
    """"ports":[{"port":80,"targetPort":8080}]}}' | kubectl apply -f -"""
)
"""A command that adds a Service."""


def announcement(
    access: ApiListeners, capture: str, services: Iterable[ServiceView], admin: AdminAddress | None = None
) -> Iterator[str]:
    """Yield the lines to print; `capture` is the capture in use, `services` what is served now, `admin` where to ask."""
    ports = [(service, port) for service in services for port in service.ports]
    beside = f"unix socket: {access.socket_path}   " if access.socket_path else ""
    yield f"API server: {access.url}   {beside}capture: {capture}"
    if access.kubeconfig:
        yield f"export KUBECONFIG={shlex.quote(access.kubeconfig)}"
    yield ""
    yield services_table([_row(service, port) for service, port in ports]).rstrip("\n")
    yield ""
    # curl speaks TCP only.
    carried = [port for _, port in ports if port.verdict is Verdict.CARRY and port.protocol == "TCP"]
    working = [_reachable(port) for port in carried if _reachable(port)]
    if working:
        yield "Try:  curl http://" + working[0] + "/"
        if admin is not None:
            elsewhere = "" if admin.is_default else f" --agent {admin.text}"
            program = _program()
            yield f"Ask:  {program} explain {working[0]}{elsewhere}   or: {program} status{elsewhere}"
    if admin is not None and admin.page:
        yield f"Page: http://{admin.text}/"
    yield from _first_steps(access)
    yield "Stop: Ctrl-C"


def _first_steps(access: ApiListeners) -> Iterator[str]:
    """Yield how to look at Services and how to add one."""
    curl = f"curl {access.url}/api/v1/services"
    if access.only_with_kubeconfig and not access.kubectl_works:
        secret = f'--header "Authorization: Bearer $(cat {shlex.quote(access.token_file)})"'
        yield f"Look: {curl} {secret}"
        yield "Add:  kubectl sends a token over HTTPS only: leave out --no-api-tls, or add files with --manifests DIR"
        return
    kubectl = "kubectl" if access.kubectl_works else f"kubectl --server {access.url}"
    plain = "" if access.only_with_kubeconfig else f"{curl}   or: "
    yield f"Look: {plain}{kubectl} get services"
    yield "Add:  " + ADD.replace("kubectl", kubectl)


def _program() -> str:
    """Return how this program is called: by its name, or by its path where PATH does not have it, as in a checkout."""
    beside = Path(sys.executable).with_name("userproxy")
    return "userproxy" if shutil.which("userproxy") or not beside.exists() else shlex.quote(str(beside))


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
