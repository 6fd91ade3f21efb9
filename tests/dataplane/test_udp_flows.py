"""How long flows live, by a clock that the tests turn, and what happens when there is no room for one more."""

from __future__ import annotations

import contextlib
import random
import resource
import socket
from collections.abc import Iterator

import pytest

from tests.build import key, serving_of
from tests.dataplane.udp_rig import client
from tests.netns import namespace, needs_netns
from userproxy.core.counters import Loss, PortCounters
from userproxy.dataplane.acceptor import Acceptor
from userproxy.dataplane.reactor import Reactor
from userproxy.dataplane.sockets import SocketSettings
from userproxy.dataplane.udp_flows import STREAM_AGE
from userproxy.dataplane.udp_sockets import UdpSettings, datagram_sockets
from userproxy.model import ListenerSpec

KEY = key("dns", protocol="UDP")


class Clockwork:
    """A worker's reactor and flows, an endpoint and a listener, all turned by hand."""

    def __init__(self, stack: contextlib.ExitStack, settings: UdpSettings) -> None:
        self.reactor = Reactor()
        self.acceptor = Acceptor(self.reactor, SocketSettings(), 300, 100, udp=settings)
        stack.callback(self.reactor.close)
        self.endpoint = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.endpoint.bind(("127.0.0.1", 0))
        self.endpoint.settimeout(5)
        self.acceptor.serve([serving_of(KEY, [self.endpoint.getsockname()])])
        # Any port: two sockets of one would not be of the same, but there is one only.
        [self.sock] = datagram_sockets("127.0.0.1", 0, 1, ())
        stack.enter_context(self.sock)
        spec = ListenerSpec(KEY, "127.0.0.1", 0, captured_only=False)
        self.acceptor.listen(spec, self.sock)
        stack.callback(self.acceptor.unlisten, spec)
        self.flows = self.acceptor.udp_flows
        self.stack = stack

    @property
    def counters(self) -> PortCounters:
        return self.acceptor.ports[KEY].counters

    def client(self) -> socket.socket:
        return self.stack.enter_context(client(self.sock.getsockname()))

    def ask(self, one: socket.socket) -> tuple[str, int]:
        """Send a datagram to the endpoint and return the address of its flow."""
        one.send(b"question")
        self.reactor.run_batch(5)
        return self.endpoint.recvfrom(100)[1]

    def answer(self, flow: tuple[str, int]) -> None:
        self.endpoint.sendto(b"answer", flow)
        self.reactor.run_batch(5)

    def later(self, seconds: float) -> None:
        """Let so much time pass."""
        for queue in (self.flows.waiting, self.flows.answered, self.flows.streams):
            for flow in queue:
                flow.last -= seconds
                flow.begun -= seconds
        self.flows._expire()
        self.reactor._look_at_deadlines()  # which closes what ended


@pytest.fixture
def clockwork() -> Iterator[Clockwork]:
    with contextlib.ExitStack() as stack:
        yield Clockwork(stack, UdpSettings(timeout=30, stream_timeout=120, max_flows=3))


def test_row_1_11_6_an_unanswered_flow_ends_after_the_short_time(clockwork: Clockwork) -> None:
    one = clockwork.client()
    first = clockwork.ask(one)
    clockwork.later(29)
    assert clockwork.ask(one) == first
    clockwork.later(29)
    assert clockwork.counters.active == 1
    clockwork.later(2)
    assert (clockwork.counters.active, clockwork.counters.carried) == (0, 0)
    assert clockwork.ask(one) != first
    assert clockwork.counters.accepted == 2


def test_a_question_with_its_answer_is_no_stream(clockwork: Clockwork) -> None:
    clockwork.answer(clockwork.ask(clockwork.client()))
    clockwork.later(31)
    assert clockwork.counters.active == 0


def test_a_flow_that_is_still_answered_after_two_seconds_lives_long(clockwork: Clockwork) -> None:
    one = clockwork.client()
    flow = clockwork.ask(one)
    clockwork.answer(flow)
    clockwork.later(STREAM_AGE)
    clockwork.answer(flow)
    clockwork.later(119)
    assert clockwork.ask(one) == flow
    clockwork.later(119)
    clockwork.answer(flow)
    clockwork.later(119)
    assert clockwork.counters.active == 1
    clockwork.later(2)
    assert clockwork.counters.active == 0


def test_looks_for_idle_flows_go_on_only_while_there_are_any(clockwork: Clockwork) -> None:
    looks = clockwork.flows._looks
    assert (len(looks), looks.seconds) == (0, 1.0)
    clockwork.ask(clockwork.client())
    assert len(looks) == 1
    for seconds, left in ((2, 1), (31, 0)):
        clockwork.reactor.now += seconds
        looks.expire(clockwork.reactor.now)
        assert len(looks) == left
    assert clockwork.counters.active == 0


def test_streams_are_spared_when_room_is_needed(clockwork: Clockwork) -> None:
    stream = clockwork.client()
    flow = clockwork.ask(stream)
    clockwork.later(STREAM_AGE)
    clockwork.answer(flow)
    clockwork.later(10)
    for _ in range(5):
        clockwork.ask(clockwork.client())
    assert clockwork.ask(stream) == flow
    assert (clockwork.counters.active, clockwork.counters.flows_evicted) == (3, 3)


def test_slow_answers_are_waited_for_when_room_is_needed(clockwork: Clockwork) -> None:
    slow = clockwork.client()
    flow = clockwork.ask(slow)
    for _ in range(5):
        clockwork.answer(clockwork.ask(clockwork.client()))
    clockwork.answer(flow)
    assert slow.recv(100) == b"answer"
    assert (clockwork.counters.active, clockwork.counters.flows_evicted) == (3, 3)


def test_the_oldest_flow_makes_room_when_descriptors_run_out(clockwork: Clockwork) -> None:
    one, two = clockwork.client(), clockwork.client()
    clockwork.ask(one)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as probe:
        free = probe.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        clockwork.ask(two)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (clockwork.counters.active, clockwork.counters.flows_evicted) == (1, 1)


def test_without_any_descriptor_the_datagram_is_lost_and_counted(clockwork: Clockwork) -> None:
    one = clockwork.client()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as probe:
        free = probe.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        one.send(b"question")
        clockwork.reactor.run_batch(5)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert clockwork.counters.datagrams_lost[Loss.NO_SOCKET] == 1
    assert clockwork.counters.active == 0
    clockwork.ask(one)


def test_only_counters_of_ports_with_flows_are_reported(clockwork: Clockwork) -> None:
    assert clockwork.acceptor.changed_counters(10) == []
    clockwork.ask(clockwork.client())
    for _ in range(3):
        assert [owner for owner, _ in clockwork.acceptor.changed_counters(10)] == [KEY]
    clockwork.later(31)
    # Once for what it counted at the end, and once more as an open one was reported last.
    for _ in range(2):
        assert [owner for owner, _ in clockwork.acceptor.changed_counters(10)] == [KEY]
    assert clockwork.acceptor.changed_counters(10) == []


def test_a_datagram_that_nobody_can_take_is_reported(clockwork: Clockwork) -> None:
    clockwork.acceptor.serve([serving_of(KEY)])
    clockwork.client().send(b"question")
    clockwork.reactor.run_batch(5)
    [(_, counters)] = clockwork.acceptor.changed_counters(10)
    assert counters.datagrams_lost[Loss.NO_ENDPOINT] == 1


@pytest.mark.parametrize("seed", range(5))
def test_the_books_balance_after_any_sequence_of_events(seed: int) -> None:
    """Queues, clients, counters and descriptors say the same of the flows whatever happens in whatever order."""
    draw = random.Random(seed)
    with contextlib.ExitStack() as stack:
        made = Clockwork(stack, UdpSettings(max_flows=6))
        others = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(3)]
        for other in others:
            other.bind(("127.0.0.1", 0))
            other.setblocking(False)
        made.endpoint.setblocking(False)
        endpoints = [made.endpoint, *others]
        clients = [made.client() for _ in range(10)]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
            closed.bind(("127.0.0.1", 0))
            dead = closed.getsockname()
        for _ in range(300):
            match draw.randrange(6):
                case 0 | 1 | 2:
                    draw.choice(clients).send(b"question")
                case 3:
                    for endpoint in draw.sample(endpoints, 2):
                        with contextlib.suppress(BlockingIOError):
                            while True:
                                endpoint.sendto(b"answer", endpoint.recvfrom(100)[1])
                case 4:
                    usable = [one.getsockname() for one in draw.sample(endpoints, draw.randrange(4))]
                    made.acceptor.serve(
                        [serving_of(KEY, [*usable, *([dead] if draw.random() < 0.3 else [])])]
                    )
                case 5:
                    made.later(draw.choice((1, 3, 40)))
            made.reactor.run_batch(0)
            _check_books(made)
        made.later(1000)
        assert (made.counters.active, len(made.flows)) == (0, 0)
        assert made.counters.accepted > 20
        assert made.counters.carried > 5
        assert made.reactor.failures == 0


def _check_books(made: Clockwork) -> None:
    flows = [flow for queue, _ in made.flows._queues for flow in queue]
    [listener] = made.acceptor.listeners.values()
    current = {flow.client: flow for flow in flows if not flow.left}
    assert listener.by_client == current
    assert listener.leaving == {flow for flow in flows if flow.left}
    assert len(flows) == len(current) + len(listener.leaving) == made.counters.active <= 6
    assert not any(flow.closed for flow in flows)
    assert {flow.fd for flow in flows} == set(made.reactor.targets) - {made.sock.fileno()}
    for queue, _ in made.flows._queues:
        assert all(flow.queue is queue for flow in queue)
        times = [flow.last for flow in queue]
        assert times == sorted(times)


@pytest.mark.netns
@needs_netns
def test_when_port_numbers_run_out_an_old_flow_gives_its_own() -> None:
    with namespace() as small, small.entered(), contextlib.ExitStack() as stack:
        small.set("net/ipv4/ip_local_port_range", "40000 40003")
        # The endpoint and the listener have one each, so two are left.
        made = Clockwork(stack, UdpSettings(max_flows=100))
        clients = []
        for number in range(5):
            one = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            one.bind(("127.0.0.1", 30000 + number))
            one.connect(made.sock.getsockname())
            clients.append(one)
            made.ask(one)
        assert (made.counters.active, made.counters.flows_evicted) == (2, 3)
        assert sum(made.counters.datagrams_lost) == 0
        # An endpoint that cannot be reached costs no flow while there is a port.
        made.later(1000)
        made.ask(clients[0])
        made.acceptor.serve([serving_of(KEY, [("192.0.2.1", 53)])])
        clients[1].send(b"question")
        made.reactor.run_batch(5)
        assert made.counters.datagrams_lost[Loss.UNREACHABLE] == 1
        assert (made.counters.active, made.counters.flows_evicted) == (1, 3)
