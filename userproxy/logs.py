"""How log records look on standard error, and how many of one kind there may be.

Owns formats, colours and the limit for repeated messages. Who logs what is everybody's own business: a message names its
object, and carries it as a field too (`extra={"service": ..., "endpoint": ...}`), so that JSON can be searched. Connections are
logged at debug only.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

BURST = 20
INTERVAL = 10.0
"""At most BURST records of one kind (logger, level and message without its values) in so many seconds."""

_ENVIRONMENT = "USERPROXY_WORKER_LOG"
"""Tells worker processes level and format."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_COLOURS = {logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "31"}
_QUIET = ("aiohttp.access", "asyncio")
"""Loggers of libraries whose lower levels say nothing about Services."""


class TextFormatter(logging.Formatter):
    """One line for a person: time, level, message, and the fields that the message does not name already."""

    def __init__(self, *, colour: bool, process: str = "") -> None:
        super().__init__(f"%(asctime)s %(levelname)-7s {process}%(message)s", "%H:%M:%S")
        self._colour = colour

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line without traceback."""
        line = super().formatMessage(record)
        said = record.getMessage()
        line += "".join(
            f" {name}={value}" for name, value in fields(record).items() if str(value) not in said
        )
        number = _COLOURS.get(record.levelno) if self._colour else None
        return f"\x1b[{number}m{line}\x1b[0m" if number else line


class JsonFormatter(logging.Formatter):
    """One JSON object for each record: time, level, message, logger, its fields, and the traceback if there is one."""

    def __init__(self, process: str = "") -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        entry: dict[str, Any] = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "logger": record.name,
            **fields(record),
        }
        if self._process:
            entry["process"] = self._process
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str, ensure_ascii=False)


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a record was given by `extra`."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


class LimitedHandler(logging.StreamHandler[TextIO]):
    """Writes records, at most BURST of one kind in INTERVAL seconds; how many were left out is said afterwards."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._clock = clock
        self._kinds: dict[tuple[str, int, str], _Kind] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record unless there were too many of its kind."""
        now = self._clock()
        self._end_intervals(now)
        kind = self._kinds.setdefault((record.name, record.levelno, str(record.msg)), _Kind(now, record))
        kind.count += 1
        if kind.count <= BURST:
            super().emit(record)

    def close(self) -> None:
        """Say what was left out, at the end of the process."""
        self.acquire()
        try:
            self._end_intervals(float("inf"))
        finally:
            self.release()
        super().close()

    def _end_intervals(self, now: float) -> None:
        for name, kind in [item for item in self._kinds.items() if now - item[1].began >= INTERVAL]:
            del self._kinds[name]
            if kind.count > BURST:
                super().emit(kind.summary())


class _Kind:
    """Records of one kind in one interval."""

    __slots__ = ("began", "count", "first")

    def __init__(self, began: float, first: logging.LogRecord) -> None:
        self.began = began
        self.first = first
        self.count = 0

    def summary(self) -> logging.LogRecord:
        left_out = self.count - BURST
        text = f"{left_out} more like this were left out: {self.first.getMessage()}"
        return logging.makeLogRecord(
            {"name": self.first.name, "levelno": self.first.levelno, "levelname": self.first.levelname}
            | {"msg": "%s", "args": (text,), "suppressed": left_out}
        )


def set_up(level: str, log_format: str, *, process: str = "") -> None:
    """Log to standard error from now on, and tell worker processes to do so likewise.

    `level` is a name such as `info`, `log_format` is `text` or `json`. `process` is named in each line.
    """
    os.environ[_ENVIRONMENT] = f"{log_format}:{level}"
    handler = LimitedHandler(sys.stderr)
    if log_format == "json":
        handler.setFormatter(JsonFormatter(process))
    else:
        prefix = f"{process}: " if process else ""
        handler.setFormatter(TextFormatter(colour=colour_wanted(sys.stderr), process=prefix))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def set_up_worker(environment: Mapping[str, str]) -> None:
    """Log as the control process does."""
    log_format, _, level = environment.get(_ENVIRONMENT, "text:info").partition(":")
    set_up(level, log_format, process="worker")


def worker_environment() -> dict[str, str]:
    """Return what a worker's environment must hold for that."""
    return {name: value for name, value in os.environ.items() if name == _ENVIRONMENT}


def colour_wanted(stream: TextIO) -> bool:
    """Whether `stream` is a terminal whose user did not ask for plain text (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")
