"""What a capture believes the kernel to hold.

Owns the bookkeeping that redirect and route share: the listener of each frontend, and how many frontends use an
address, so that what an address needs is installed once and removed with its last port.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from userproxy.model import Address, CaptureEntry, Family, Frontend, family_of


class HeldEntries:
    """The entries that were written, and their addresses."""

    def __init__(self) -> None:
        self._listeners: dict[Frontend, Address] = {}
        self._users: Counter[str] = Counter()

    @property
    def addresses(self) -> Collection[str]:
        """The frontend addresses, each once."""
        return self._users.keys()

    def entries(self) -> list[CaptureEntry]:
        """Return all entries."""
        return [CaptureEntry(frontend, listener) for frontend, listener in self._listeners.items()]

    def replace(self, entries: Iterable[CaptureEntry]) -> None:
        """Hold exactly `entries`."""
        self._listeners = _by_frontend(entries)
        self._users = Counter(frontend.address for frontend in self._listeners)

    def change(
        self, add: Iterable[CaptureEntry], remove: Iterable[CaptureEntry]
    ) -> tuple[set[str], set[str]]:
        """Take `remove` away, then put `add` in; return the addresses that are new and those that are gone."""
        before: dict[str, bool] = {}
        for entry in remove:
            if self._listeners.pop(entry.frontend, None) is not None:
                before.setdefault(entry.frontend.address, True)
                self._users[entry.frontend.address] -= 1
        for entry in add:
            before.setdefault(entry.frontend.address, self._users[entry.frontend.address] > 0)
            if entry.frontend not in self._listeners:
                self._users[entry.frontend.address] += 1
            self._listeners[entry.frontend] = entry.listener
        appeared = {address for address, known in before.items() if not known}
        gone = {address for address in before if self._users[address] == 0}
        for address in gone:
            del self._users[address]
        return appeared, gone

    def equal(self, entries: Iterable[CaptureEntry]) -> bool:
        """Return whether exactly `entries` are held."""
        return self._listeners == _by_frontend(entries)


def of_families(entries: Iterable[CaptureEntry], families: Sequence[Family]) -> list[CaptureEntry]:
    """Return the entries whose frontend is of one of `families`; the host cannot carry the others."""
    return [entry for entry in entries if family_of(entry.frontend.address) in families]


def _by_frontend(entries: Iterable[CaptureEntry]) -> dict[Frontend, Address]:
    return {entry.frontend: entry.listener for entry in entries}
