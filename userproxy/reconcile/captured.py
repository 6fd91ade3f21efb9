"""What capture shall hold: its entries, what went wrong with them, and when the kernel is looked at again.

Owns the entries and their repair. Which frontends are captured is `core.plan`'s decision, the kernel's side that of `capture`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from userproxy.core.plan import Plan
from userproxy.core.service_events import Change
from userproxy.edges import Capture
from userproxy.errors import CaptureError
from userproxy.model import Address, CaptureEntry, Frontend, FrontendKind, ListenerSpec
from userproxy.reconcile.retries import Retries

log = logging.getLogger(__name__)

REPAIR_SECONDS = 2.0
"""Between two looks at what the kernel holds; another tool's flush is undone within one look."""

_RESTORED = "capture rules had been changed by another program; they are restored"


class Captured:
    """The entries of one capture. One writer: the reconcile loop."""

    def __init__(
        self, capture: Capture, clock: Callable[[], float], changed: Callable[[Change], None]
    ) -> None:
        """`clock` gives seconds of the monotonic clock; `changed` takes what `userproxy observe` shows."""
        self.error = ""
        """why the kernel may not hold what it should; empty: it does"""
        self.repairs = 0
        """how often the kernel's state had been changed by someone else and was restored"""
        self.look_at = clock() + REPAIR_SECONDS
        """when `look` is due"""
        self._capture = capture
        self._clock = clock
        self._changed = changed
        self._retries = Retries()
        self._under_way: asyncio.Task[None] | None = None
        self._add: list[CaptureEntry] = []
        self._remove: list[CaptureEntry] = []
        self._entries: dict[Frontend, CaptureEntry] = {}

    async def change(
        self, step: Plan, listening: Mapping[ListenerSpec, Address], under_way: asyncio.TaskGroup
    ) -> None:
        """Release and capture the frontends that `step` names, as far as somebody listens for them.

        This goes on in `under_way` until `settled` returns; what comes while the kernel is busy is then written at once. A
        failure is told in `error`, not raised.
        """
        add, remove = self._differences(step, listening)
        if remove:
            await self.settled()
        self._add += add
        self._remove += remove
        if self._under_way is None and (self._add or self._remove):
            self._under_way = under_way.create_task(self._write(), name="capture")

    async def settled(self) -> None:
        """Return when all changes have been made or have failed."""
        while self._under_way is not None:
            await self._under_way

    async def look(self) -> bool:
        """Make the kernel hold exactly what it should; return whether that works again after it had failed."""
        self.look_at = self._clock() + REPAIR_SECONDS
        try:
            rewrote = await self._capture.repair(tuple(self._entries.values()))
        except CaptureError as error:
            self._failed(error)
            return False
        if self.error:
            self.error = ""
            self._retries.succeeded()
            log.info("capture works again")
            self._tell("capture works again")
            return True
        if rewrote:
            self.repairs += 1
            log.warning(_RESTORED)
            self._tell(_RESTORED)
        return False

    async def _write(self) -> None:
        try:
            # After a failure the kernel is not where we think it is; the next look writes everything anew.
            while (self._add or self._remove) and not self.error:
                add, self._add = self._add, []
                remove, self._remove = self._remove, []
                await self._capture.change(add, remove)
        except CaptureError as error:
            self._failed(error)
        finally:
            self._add, self._remove = [], []
            self._under_way = None

    def _differences(
        self, step: Plan, listening: Mapping[ListenerSpec, Address]
    ) -> tuple[list[CaptureEntry], list[CaptureEntry]]:
        """Take `step` over into the entries; return those that are new and those that are gone."""
        remove = [self._entries.pop(frontend) for frontend in step.release if frontend in self._entries]
        add = []
        for frontend, spec in step.capture:
            # A node port's listener is bound to the node's own address: packets reach it as they are.
            if spec in listening and frontend.kind is not FrontendKind.NODE_PORT:
                if frontend in self._entries:
                    # Of a listener that could not go on and was opened anew.
                    remove.append(self._entries[frontend])
                entry = CaptureEntry(frontend, listening[spec])
                self._entries[frontend] = entry
                add.append(entry)
        return add, remove

    def _failed(self, error: CaptureError) -> None:
        if str(error) != self.error:
            log.error("capture: %s; tried again until it works", error)
            self._tell(f"{error}; tried again until it works")
        self.error = str(error)
        self.look_at = self._clock() + self._retries.failed()

    def _tell(self, text: str) -> None:
        self._changed(Change(self._clock(), "capture", text))
