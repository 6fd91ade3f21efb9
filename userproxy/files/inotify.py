"""Notices that something in a directory has changed, through the kernel's inotify and the event loop's `add_reader`.

Owns one inotify descriptor. Says that there was a change, never which: whoever is told looks for itself. The directory is
watched, not its files: editors and ConfigMap mounts replace files by renaming.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Callable
from pathlib import Path

_CLOSE_WRITE, _ATTRIB, _MOVED_FROM, _MOVED_TO = 0x8, 0x4, 0x40, 0x80
_CREATE, _DELETE, _DELETE_SELF, _MOVE_SELF = 0x100, 0x200, 0x400, 0x800
_MASK = _CLOSE_WRITE | _ATTRIB | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
_LARGEST_READ = 65536


class DirectoryWatch:
    """Calls `changed` from the running loop after every change in a directory, until `close`."""

    def __init__(self, directory: Path, changed: Callable[[], None]) -> None:
        """Begin to watch. Raises OSError when the kernel refuses (no such directory, no watches left)."""
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        if libc.inotify_add_watch(self._descriptor, os.fsencode(directory), ctypes.c_uint32(_MASK)) < 0:
            number = ctypes.get_errno()
            os.close(self._descriptor)
            raise OSError(number, os.strerror(number), str(directory))
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._on_readable)

    def _on_readable(self) -> None:
        try:
            os.read(self._descriptor, _LARGEST_READ)
        except BlockingIOError:
            return
        self._changed()

    def close(self) -> None:
        """Stop watching. May be called twice."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
