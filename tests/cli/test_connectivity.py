"""`userproxy test` beside a running demo: from the host, from a namespace, without an agent, and wrong input."""

from __future__ import annotations

import msgspec
import pytest

from tests.cli.conftest import Demo
from tests.cli.invoke import assert_wrong_input
from tests.netns import needs_netns, needs_programs
from userproxy.core.connectivity import ConnectivityReport, Outcome

pytestmark = [pytest.mark.netns, needs_netns, needs_programs("nsenter")]


def test_from_host_and_from_a_namespace_and_nothing_is_left(demo: Demo) -> None:
    before = demo.home.state()
    done = demo.userproxy("test", "--service", "my-service", "--from", "both", "-o", "json")
    assert done.code == 0, done
    results = msgspec.json.decode(done.out, type=ConnectivityReport).results
    assert [(one.source, one.outcome) for one in results] == [("host", Outcome.OK), ("namespace", Outcome.OK)]
    assert all(one.detail.startswith("carried to 127.0.10.") for one in results)
    after = demo.home.state()
    assert after["addresses"] == before["addresses"]
    assert after["routes"] == before["routes"]


def test_the_table_names_each_address(demo: Demo) -> None:
    done = demo.userproxy("test")
    assert done.code == 0
    assert "√   default/my-service   80/TCP   ClusterIP   10.96.163.26:80   IPv4     host" in done.out
    assert done.out.splitlines()[-1] == "1 tests: 1 ok"


def test_a_failure_fails_the_whole(demo: Demo) -> None:
    done = demo.userproxy("test", "--pod", "10.96.163.26:80", "127.0.0.1:9")
    assert done.code == 1
    assert "×   127.0.0.1:9" in done.out
    assert done.out.splitlines()[-1] == "2 tests: 1 ok, 1 failed"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["test", "--agent", "127.0.0.1:9"], 1, "no agent answers at 127.0.0.1:9"),
        (["test", "10.0.0.1:80"], 2, "addresses are for --pod"),
        (["test", "--pod", "web"], 2, "'web' names nothing"),
        (["test", "--pod", "svc/web"], 2, "'svc/web' is not an address to try"),
        (["test", "--timeout", "soon"], 2, "'soon' is not a duration"),
        (["test", "--from", "mars"], 2, "'mars'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_input_is_one_useful_line(arguments: list[str], code: int, says: str) -> None:
    assert_wrong_input(arguments, code, says)


def test_a_service_that_is_not_served(demo: Demo) -> None:
    done = demo.userproxy("test", "--service", "nix")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "default/nix is not served" in done.err
