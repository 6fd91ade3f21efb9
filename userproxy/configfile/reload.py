"""Reading the configuration file again: when it changes, and when asked to (SIGHUP).

Owns which changes take effect at once (fields of Config marked `live`) and which need a restart, and what is said about both.
A broken file changes nothing: one line says why, and the old settings stay. Whoever starts this applies the new Config.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from userproxy.config import Config
from userproxy.configfile.own_fields import field_name
from userproxy.configfile.source import Settings, read_text
from userproxy.errors import UserproxyError
from userproxy.files.inotify import DirectoryWatch

log = logging.getLogger(__name__)

SETTLE = 0.2
"""Seconds after a change until the file is read: programs write in several steps, and the last one counts."""


class Reloading:
    """Keeps the running Config in step with its file. `ask` at any time, `run` until cancelled."""

    def __init__(self, running: Settings, settle: float = SETTLE) -> None:
        self._source = running.source
        self._running = running.config
        self._notes = running.notes
        self._settle = settle
        self._asked = False
        self._wake = asyncio.Event()
        self._text = ""

    @property
    def file(self) -> str:
        """The configuration file; empty when there is none."""
        return self._source.file

    def ask(self) -> None:
        """Read the file soon, changed or not."""
        self._asked = True
        self._wake.set()

    async def run(self, apply: Callable[[Config], None]) -> None:
        """Call `apply` with each new Config until cancelled. Without a file there is nothing to do."""
        if not self.file:
            return
        watch = self._watch()
        try:
            while True:
                await self._wake.wait()
                await asyncio.sleep(self._settle)
                self._wake.clear()
                asked, self._asked = self._asked, False
                self._reload(asked, apply)
        finally:
            if watch is not None:
                watch.close()

    def _watch(self) -> DirectoryWatch | None:
        try:
            self._text = read_text(self.file)
            return DirectoryWatch(Path(self.file).absolute().parent, self._wake.set)
        except (OSError, UserproxyError) as error:
            log.warning("%s is not watched for changes: %s; send SIGHUP after a change", self.file, error)
            return None

    def _reload(self, asked: bool, apply: Callable[[Config], None]) -> None:
        try:
            text = read_text(self.file)
            if text == self._text and not asked:
                return
            self._text = text
            new = self._source.merge(text)
            live, kept = differences(self._running, new.config)
            if live:
                config = dataclasses.replace(self._running, **live)
                apply(config)
                self._running = config
        except UserproxyError as error:
            log.error("%s; the settings stay as they were", error)
            return
        for note in new.notes:
            if note not in self._notes:
                log.info("%s", note)
        self._notes = new.notes
        log.info("%s read again: %s", self.file, "; ".join(_summary(live, kept)) or "nothing changed")


def differences(running: Config, new: Config) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings that differ and can change while running, and those that need a restart, with new values."""
    live: dict[str, Any] = {}
    kept: dict[str, Any] = {}
    for field in dataclasses.fields(Config):
        value = getattr(new, field.name)
        if value != getattr(running, field.name):
            (live if field.metadata["live"] else kept)[field.name] = value
    return live, kept


def _summary(live: dict[str, Any], kept: dict[str, Any]) -> Iterator[str]:
    if live:
        yield "changed " + ", ".join(f"{field_name(name)} to {value!r}" for name, value in live.items())
    if kept:
        yield "kept until a restart: " + ", ".join(field_name(name) for name in kept)
