"""Generation numbers tell our own transactions from those of others."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.netns import Namespace, namespace, needs_netns, needs_programs
from userproxy.capture.nft_generation import Generation, read_generation

pytestmark = [pytest.mark.netns, needs_netns, needs_programs("nft")]


@pytest.fixture
def alone() -> Iterator[Namespace]:
    with namespace() as made, made.entered():
        yield made


def transact(alone: Namespace) -> None:
    alone.run("nft", "add table ip a; add chain ip a b; delete table ip a")


def test_each_transaction_counts_once(alone: Namespace) -> None:
    before = read_generation()
    transact(alone)
    assert read_generation() == before + 1


def test_nothing_is_trusted_at_first(alone: Namespace) -> None:
    assert not Generation().unchanged()


def test_a_whole_write_is_trusted_until_somebody_else_writes(alone: Namespace) -> None:
    generation = Generation()
    before = read_generation()
    transact(alone)
    generation.written(before, whole=True)
    assert generation.unchanged()
    transact(alone)
    assert not generation.unchanged()
    generation.trust(read_generation())
    assert generation.unchanged()
    generation.distrust()
    assert not generation.unchanged()


def test_a_write_with_others_in_between_is_not_trusted(alone: Namespace) -> None:
    generation = Generation()
    before = read_generation()
    transact(alone)
    transact(alone)
    generation.written(before, whole=True)
    assert not generation.unchanged()
    generation.written(before, whole=True, transactions=2)
    assert generation.unchanged()


def test_a_partial_write_is_trusted_only_on_trusted_ground(alone: Namespace) -> None:
    generation = Generation()
    before = read_generation()
    transact(alone)
    generation.written(before, whole=False)
    assert not generation.unchanged()
    before = read_generation()
    generation.trust(before)
    transact(alone)
    generation.written(before, whole=False)
    assert generation.unchanged()


def test_without_the_right_the_error_says_what_to_do(alone: Namespace) -> None:
    program = "from userproxy.capture.nft_generation import read_generation\nread_generation()"
    command = ("setpriv", "--bounding-set=-net_admin", sys.executable, "-c", program)
    with pytest.raises(AssertionError, match="generation: Operation not permitted: run as root or with CAP"):
        alone.run(*command)
