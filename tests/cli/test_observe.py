"""`userproxy observe`: beside a demo whose connections and endpoints it shows, from a file, and used wrongly."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Demo
from tests.cli.invoke import userproxy
from tests.e2e.agent import USERPROXY
from tests.e2e.child import ROOT
from tests.netns import needs_netns, needs_programs

EVENTS = """\
{"type":"connection","time":"2026-11-26T09:18:43.482857Z","verdict":"reset","client":"10.0.0.9:33108",\
"namespace":"default","service":"web","endpoint":"10.1.0.2:80","reason":"reset by the client",\
"opened":"2026-11-26T09:18:41.876291Z","seconds":1.606566,"received":25}

{"type":"change","time":"2026-11-26T09:18:44.361793Z","kind":"verdict","message":"no usable endpoint",\
"namespace":"default","service":"web","protocol":"TCP","verdict":"drop"}
{"type":"lost","time":"2026-11-26T09:18:45Z","count":3}
"""


@pytest.fixture
def events(tmp_path: Path) -> str:
    path = tmp_path / "events"
    path.write_text(EVENTS)
    return str(path)


@pytest.mark.netns
@needs_netns
@needs_programs("nft", "curl")
def test_connections_of_the_demo(demo: Demo) -> None:
    arguments = ("observe", "--follow", "-o", "json", "--service", "my-service", "--verdict", "closed")
    follower = demo.home.start(*USERPROXY, *arguments, cwd=ROOT, stdout=subprocess.PIPE)
    assert follower.stdout is not None
    try:
        demo.home.run("curl", "--silent", "http://10.96.163.26/")
        # The demo is shared: a connection of an earlier test, which asked for nothing, may be told of first.
        events = map(json.loads, follower.stdout)
        event = next(one for one in events if one["sent"])
    finally:
        follower.terminate()
        follower.wait(10)
        follower.stdout.close()
    assert (event["service"], event["verdict"], event["failed"]) == ("my-service", "closed", [])
    assert event["sent"] > 100
    kept = demo.userproxy("observe", "--endpoint", event["endpoint"], "--verdict", "carried", "--since", "1h")
    assert f"-> default/my-service -> {event['endpoint']}  " in kept.out
    added = demo.userproxy("observe", "--since", "1h", "--verdict", "change")
    assert "Service port added, " in added.out


def test_a_file_is_read_back_and_filtered(events: str) -> None:
    done = userproxy("observe", "--from", events)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "09:18:43.482 RESET    10.0.0.9:33108 -> default/web -> 10.1.0.2:80  1.6s  25B in 0B out  (reset by the client)",
        "09:18:44.361 DROP     default/web  no usable endpoint",
        "09:18:45.000 LOST     3 events came faster than they could be kept or read",
    ]
    assert userproxy("observe", "--from", events, "--verdict", "drop", "--last", "2").out.count("\n") == 2
    assert userproxy("observe", "--from", events, "--since", "1m").out.count("\n") == 1
    assert userproxy("observe", "--from", events, "--last", "0").out == ""


def test_json_is_written_as_it_is_read(events: str, tmp_path: Path) -> None:
    once = userproxy("observe", "--from", events, "-o", "json").out
    (tmp_path / "again").write_text(once)
    assert userproxy("observe", "--from", str(tmp_path / "again"), "-o", "json").out == once


def test_whoever_has_enough_ends_it(events: str) -> None:
    command = f"'{USERPROXY[0]}' -m userproxy observe --from '{events}' | true"
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("--from", "/does/not/exist"), 2, "userproxy: --from: /does/not/exist: No such file or directory"),
        (("--from", __file__), 2, "line 1: no event of `userproxy observe -o json`"),
        (("--from", "x", "--follow"), 2, "leave out --follow"),
        (("--verdict", "lost"), 2, "verdict: 'lost' is none; there are carried, "),
        (("--client", "me"), 2, "client: 'me' is no address; write IP"),
        (("--agent", "127.0.0.1:9"), 1, "no agent answers at 127.0.0.1:9: Connection refused; start"),
    ],
)
def test_wrong_use_is_one_line(arguments: tuple[str, ...], code: int, complaint: str) -> None:
    done = userproxy("observe", *arguments)
    assert (done.code, done.out, done.err.count("\n")) == (code, "", 1)
    assert complaint in done.err
