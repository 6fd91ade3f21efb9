"""Which Services a text of a person means: part of a name, or the beginning of an address of theirs.

Owns the search over everything that is served. With ten thousand that takes milliseconds, so callers ask once for each change.
"""

from __future__ import annotations

from userproxy.core.plan import Running
from userproxy.core.table import ServiceTable
from userproxy.model import ServiceName


def find_services(table: ServiceTable, running: Running, text: str) -> list[ServiceName]:
    """Return the Services by name whose `namespace/name` holds `text` (lower case), or a frontend of theirs begins with it."""
    if not text:
        return list(table.services())
    with_port, full = ":" in text, "/" in text
    by_address = {
        key.name.service
        for frontend, key in running.owners.items()
        if frontend.address.startswith(text) or (with_port and str(frontend).startswith(text))
    }
    return [
        name
        for name in table.services()
        if text in name.name
        or text in name.namespace
        or (full and text in str(name))
        or (by_address and name in by_address)
    ]
