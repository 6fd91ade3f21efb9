"""How log records look, and that floods of one kind are cut short and counted."""

from __future__ import annotations

import io
import json
import logging

import pytest

from userproxy.logs import (
    BURST,
    INTERVAL,
    JsonFormatter,
    LimitedHandler,
    TextFormatter,
    set_up,
    set_up_worker,
    worker_environment,
)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Lines:
    """A logger of its own that writes into memory."""

    def __init__(self, formatter: logging.Formatter) -> None:
        self.clock = Clock()
        self._stream = io.StringIO()
        self.handler = LimitedHandler(self._stream, self.clock)
        self.handler.setFormatter(formatter)
        self.log = logging.Logger("userproxy.test")
        self.log.addHandler(self.handler)

    @property
    def written(self) -> list[str]:
        return self._stream.getvalue().splitlines()


def test_text_names_each_field_once() -> None:
    lines = Lines(TextFormatter(colour=False))
    fields = {"service": "default/web", "endpoint": "10.0.0.1:80"}
    lines.log.warning("Service %s: a dial failed", "default/web", extra=fields)
    (line,) = lines.written
    assert line.endswith("WARNING Service default/web: a dial failed endpoint=10.0.0.1:80")


@pytest.mark.parametrize(
    ("colour", "level", "starts"),
    [
        (True, logging.ERROR, "\x1b[31m"),
        (True, logging.WARNING, "\x1b[33m"),
        (True, logging.INFO, ""),
        (False, 40, ""),
    ],
)
def test_colour_is_for_troubles_on_a_terminal(colour: bool, level: int, starts: str) -> None:
    lines = Lines(TextFormatter(colour=colour))
    lines.log.log(level, "said")
    (line,) = lines.written
    assert line.startswith(starts)
    assert ("\x1b" in line) is bool(starts)


def test_json_has_fields_as_keys_and_the_traceback_in_one_line() -> None:
    lines = Lines(JsonFormatter("worker"))
    try:
        raise ValueError("odd\nvalue")
    except ValueError:
        lines.log.exception("no good: %s", "that\n", extra={"service": "default/web", "port": 80})
    (line,) = lines.written
    entry = json.loads(line)
    assert entry["level"] == "error"
    assert entry["message"] == "no good: that\n"
    assert (entry["service"], entry["port"], entry["process"]) == ("default/web", 80, "worker")
    assert entry["logger"] == "userproxy.test"
    assert entry["time"].endswith("Z")
    assert "ValueError: odd" in entry["traceback"]


def test_a_flood_of_one_kind_is_cut_short_counted_and_hides_no_other() -> None:
    lines = Lines(JsonFormatter())
    for number in range(BURST + 7):
        lines.log.info("Service %s changed", number)
    lines.log.info("something else")
    assert len(lines.written) == BURST + 1
    lines.clock.now += INTERVAL
    lines.log.info("later")
    summary, last = (json.loads(line) for line in lines.written[-2:])
    assert last["message"] == "later"
    assert summary["suppressed"] == 7
    assert summary["message"] == "7 more like this were left out: Service 0 changed"
    lines.log.info("Service %s changed", 99)
    assert json.loads(lines.written[-1])["message"] == "Service 99 changed", "a new interval begins"


def test_what_was_left_out_is_said_at_the_end_too() -> None:
    lines = Lines(TextFormatter(colour=False))
    for _ in range(BURST + 1):
        lines.log.info("same")
    lines.handler.close()
    assert lines.written[-1].endswith("1 more like this were left out: same")


def test_workers_log_as_the_control_process_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USERPROXY_WORKER_LOG", "")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        set_up("warning", "json")
        inherited = worker_environment()
        set_up_worker(inherited)
        logging.getLogger("x").info("quiet")
        logging.getLogger("x").warning("heard")
        root.handlers[0].close()
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    entry = json.loads(capsys.readouterr().err)
    assert (entry["message"], entry["process"]) == ("heard", "worker")
