"""Random writes and faults in any order: once it is quiet, the store equals the server's."""

from __future__ import annotations

import asyncio

import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kube import faults
from tests.kube.faulty_server import Fault, FaultyServer
from tests.kube.objects import endpoint_slice, service
from tests.kube.watched import Watched, watched

NAMES = ["a", "b", "c"]
NOT_QUICK = {"huge_line", "silence", "silence_before_header"}
"""Each of these takes a noticeable part of a second; they have tests of their own."""

FAULTS: dict[str, dict[str, Fault]] = {
    "watch": {name: fault for name, fault in faults.WATCH_FAULTS.items() if name not in NOT_QUICK},
    "stream-list": {name: fault for name, fault in faults.WATCH_FAULTS.items() if name not in NOT_QUICK}
    | {"shuffled_burst_cut": faults.shuffled_burst_cut, "refused_422": faults.refused_422},
    "list": {
        name: fault for name, fault in faults.LIST_FAULTS.items() if name not in (*NOT_QUICK, "too_large_504")
    },
}

put_service = st.tuples(
    st.just("put service"), st.sampled_from(NAMES), st.sampled_from(["10.96.0.1", "10.96.0.2", "None", "bad"])
)
put_slice = st.tuples(st.just("put slice"), st.sampled_from(NAMES), st.sampled_from(["10.1.0.1", "10.1.0.2"]))
delete = st.tuples(st.just("delete"), st.sampled_from(["services", "endpointslices"]), st.sampled_from(NAMES))
fault = st.sampled_from([("fault", verb, name) for verb, known in FAULTS.items() for name in known])
event = st.sampled_from([("compact", "", ""), ("cut", "", ""), ("wait", "", "")])
scripts = st.lists(st.one_of(put_service, put_slice, delete, fault, event), max_size=25)


async def play(both: Watched, step: tuple[str, str, str]) -> None:
    server, (what, first, second) = both.server, step
    if what == "put service":
        server.put("services", service(first, second))
    elif what == "put slice":
        server.put("endpointslices", endpoint_slice(first, first, second))
    elif what == "delete":
        server.delete(first, "default", second)
    elif what == "fault":
        server.inject(first, FAULTS[first][second])
    elif what == "compact":
        server.compact()
    elif what == "cut":
        await server.stop()
        await server.start()
    else:
        await asyncio.sleep(0.01)


async def scenario(script: list[tuple[str, str, str]]) -> None:
    async with FaultyServer() as server, watched(server) as both:
        for step in script:
            await play(both, step)
        # Faults that no request has met by now would only be met in a later outage.
        server.faults.clear()
        await both.settle()


@given(scripts)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_quiet_in_the_end(script: list[tuple[str, str, str]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario(script))
