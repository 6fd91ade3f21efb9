"""The log of a running demo in JSON: every line is an object, and none holds a secret."""

from __future__ import annotations

import json
import re

import pytest

from tests.cli.conftest import Demo
from tests.netns import needs_netns

pytestmark = [pytest.mark.netns, needs_netns]


def test_every_line_of_a_demo_is_json_without_secrets(demo: Demo) -> None:
    demo.log.seek(0)
    entries = [json.loads(line) for line in demo.log.read().splitlines()]
    messages = [entry["message"] for entry in entries]
    assert any(message.startswith("ready: capture") for message in messages)
    assert all({"time", "level", "logger"} <= entry.keys() for entry in entries)
    assert not [message for message in messages if re.search(r"Bearer \S|token: \S", message)]
