"""What wrk, strace and the kernel print is read right."""

from __future__ import annotations

import os
import socket
import threading
import time

import pytest

from tests.benchmarks import open_loop, syscalls, wrk
from tests.benchmarks.machine import slab_bytes
from tests.benchmarks.pattern import BLOCK_BYTES, CHUNK_BYTES, Checker, piece, whole_object
from tests.benchmarks.processes import cpu_seconds, memory

WRK = """Running 1s test @ http://127.0.0.1:810/
  1 threads and 32 connections
Requests/sec:   9933.33

userproxy-result {"requests":10033,"bytes":1695577,"microseconds":1010000,"p50_us":3167,"p99_us":5140,"p999_us":9001,"errors":2}
"""

STRACE = """% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 30.24    0.084567          10      8034      2007 recvfrom
 20.00    0.050000           5      2008           accept4
------ ----------- ----------- --------- --------- ----------------
100.00    0.279634           7     10042      2007 total
"""

SLABINFO = """slabinfo - version: 2.1
# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>
btrfs_inode         1000   1000   1104   29    8
TCP                   10     12   2496   13    8
sock_inode_cache      20     20    832   39    8
kmalloc-cg-512         4      8    512   32    4
kmalloc-rnd            1      1    100   32    4
"""


def test_wrk() -> None:
    found = wrk.parse(WRK)
    assert (found.requests, found.seconds, found.p999_us, found.errors) == (10033, 1.01, 9001, 2)
    assert found.rate == pytest.approx(9933.66, abs=0.01)


@pytest.mark.parametrize(
    "output", ["unable to connect to 127.0.0.1:1 Connection refused", WRK.replace("10033", "0")]
)
def test_wrk_without_an_answer_is_an_error(output: str) -> None:
    with pytest.raises(RuntimeError, match="no answer"):
        wrk.parse(output)


def test_the_script_of_wrk_is_valid_where_it_was_formatted() -> None:
    assert "%%" not in wrk.REPORT
    assert wrk.MARK + "{" in wrk.REPORT


def test_strace() -> None:
    assert syscalls.parse(STRACE) == {"recvfrom": 8034, "accept4": 2008}


def test_the_table_of_system_calls_has_the_most_frequent_first_and_a_sum() -> None:
    lines = syscalls.table(
        {"a": {"close": 2.0, "rare": 0.001}, "b": {"recvfrom": 4.0, "close": 1.0}}
    ).splitlines()
    assert lines[2:] == [
        "| recvfrom | - | 4.00 |",
        "| close | 2.00 | 1.00 |",
        "| **all** | **2.00** | **5.00** |",
    ]


def test_slabs_of_connections_are_counted_and_others_not() -> None:
    assert slab_bytes(SLABINFO) == 10 * 2496 + 20 * 832 + 4 * 512 + 100


def test_own_memory_and_time_are_plausible() -> None:
    found = memory(os.getpid())
    assert 1e6 < found["Pss"] <= found["Rss"] <= found["Peak"]
    assert 0.0 < cpu_seconds([os.getpid()]) < 86400


def feed(data: bytes) -> Checker:
    checker = Checker()
    for start in range(0, len(data), CHUNK_BYTES // 3):
        checker.feed(memoryview(data)[start : start + CHUNK_BYTES // 3])
    return checker


def test_the_pattern_is_accepted_across_its_end() -> None:
    data = whole_object()[: 2 * BLOCK_BYTES + 12345]
    checker = feed(data)
    assert (checker.right, checker.count) == (True, len(data))
    assert piece(3 * BLOCK_BYTES - 7) == data[BLOCK_BYTES - 7 : BLOCK_BYTES - 7 + CHUNK_BYTES]


@pytest.mark.parametrize("fault", ["changed", "lost", "twice", "moved"])
def test_wrong_bytes_are_found(fault: str) -> None:
    data = whole_object()[: BLOCK_BYTES + 5000]
    at = BLOCK_BYTES + 100
    wrong = {
        "changed": data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :],
        "lost": data[:at] + data[at + 1 :],
        "twice": data[:at] + data[at - 10 :],
        "moved": data[:at] + data[at + 10 : at + 20] + data[at : at + 10] + data[at + 20 :],
    }[fault]
    assert not feed(wrong).right


def serve_lines(listener: socket.socket, stall: float) -> None:
    """Answer one connection, the first request after `stall` seconds."""
    sock, _ = listener.accept()
    with sock:
        while data := sock.recv(4096):
            time.sleep(stall)
            stall = 0.0
            sock.sendall(b"yes\n" * data.count(b"\n"))


def test_the_open_loop_charges_a_stall_to_the_requests_that_had_to_wait() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve_lines, args=(listener, 0.15))
        server.start()
        found = open_loop.OpenLoop(listener.getsockname(), 1, b"who\n", b"\n")
        found.run(rate=200, seconds=0.2)
        found.close()
        server.join(5)
    # The first request waited for all of the stall, one due 100 ms later for what was left of it.
    assert len(found.latencies) == 40
    assert found.errors == 0
    assert found.latencies[0] >= 150e6
    assert found.latencies[20] >= 50e6


def test_the_open_loop_counts_what_was_never_answered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = open_loop.OpenLoop(listener.getsockname(), 1, b"who\n", b"\n")
        listener.accept()[0].close()
        client.run(rate=100, seconds=0.1)
        client.close()
    assert (client.latencies, client.errors) == ([], 10)
