"""What is wrong with Services, one line each, for the log, for Events and for the status view.

Owns the finding. Telling each once is the reconcile loop's work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from userproxy.core.node_ports import port_range_warning
from userproxy.core.plan_settings import PlanSettings
from userproxy.model import Frontend, PortKey, ServiceName, ServicePort


def service_warnings(
    annotations: Mapping[ServiceName, Iterable[str]],
    touched: Mapping[ServiceName, Iterable[ServicePort]],
    contended: Iterable[tuple[Frontend, PortKey, PortKey]],
    settings: PlanSettings,
) -> dict[ServiceName, tuple[str, ...]]:
    """Return for each Service of `annotations` what is wrong with it; an empty tuple when nothing is.

    `annotations`: what is wrong with those; `contended`: a frontend, who holds it and who waits for it, from a plan.
    """
    found = {name: list(lines) for name, lines in annotations.items()}
    for name, ports in touched.items():
        numbers = {port.exposure.node_port for port in ports if port.exposure.node_port}
        for number in sorted(numbers) if settings.node_ports else ():
            line = port_range_warning(f"Service {name}", number, settings.local_ports)
            if line is not None:
                found[name].append(line)
    for frontend, holder, waiter in contended:
        found[waiter.name.service].append(
            f"Service port {waiter}: {frontend} belongs to {holder} already; "
            "give one of them another address, until then this one is not captured"
        )
    return {name: tuple(lines) for name, lines in found.items()}
