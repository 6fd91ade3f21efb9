"""Session affinity: held against a naive model for one worker and for several, its age, its bound, its news."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from tests.build import key
from userproxy.core.affinity import REFRESH_SHARE, AffinityRecords, Sticky
from userproxy.core.balancer_hash import SourceHash
from userproxy.model import Address

A, B, C = [(f"10.0.0.{n}", 80) for n in range(1, 4)]
WEB, API = key("web", "http"), key("web", "api")
CLIENTS = [f"10.244.0.{n}" for n in range(1, 7)]


def sticky(
    records: AffinityRecords, *endpoints: Address, port: object = WEB, seconds: float = 60.0
) -> Sticky:
    affinity = records.port(port, seconds)  # type: ignore[arg-type]
    affinity.update(endpoints)
    return Sticky(affinity, SourceHash(endpoints))


def away(one: Sticky, client: str, now: float = 0.0) -> Address:
    """Move `client` to an endpoint that is not its first choice, as after a failed dial, and return that."""
    first = one.pick(client, now)
    assert first is not None
    other = one.pick_other([first], client, now)
    assert other is not None
    return other


def test_the_first_pick_is_the_same_everywhere() -> None:
    one, two = sticky(AffinityRecords(), A, B, C), sticky(AffinityRecords(), C, B, A)
    assert [one.pick(client) for client in CLIENTS] == [two.pick(client) for client in CLIENTS]
    assert set(one.upcoming()) == {A, B, C}


def test_a_client_stays_where_a_retry_took_it() -> None:
    one = sticky(AffinityRecords(), A, B, C)
    other = away(one, "10.0.0.9")
    assert [one.pick("10.0.0.9", now) for now in (1.0, 2.0)] == [other, other]
    assert one.pick_other([A, B, C], "10.0.0.9", 3.0) is None


def test_row_1_5_4_the_time_runs_from_the_last_new_connection() -> None:
    one = sticky(AffinityRecords(), A, B, C, seconds=10)
    other = away(one, "10.0.0.9", now=100)
    assert one.pick("10.0.0.9", 109.9) == other
    assert one.pick("10.0.0.9", 119.8) == other
    assert one.pick("10.0.0.9", 129.8) == SourceHash([A, B, C]).pick("10.0.0.9")


def test_rows_1_5_5_and_1_5_6_both_sets_share_records_and_each_looks_among_its_own() -> None:
    records = AffinityRecords()
    cluster, local = sticky(records, A, B, C), sticky(records, A, B, C)
    local.update([A, B])
    kept = away(local, "10.0.0.9")
    assert cluster.pick("10.0.0.9", 1) == kept
    cluster.update([one for one in (A, B, C) if one != kept])
    moved = cluster.pick("10.0.0.9", 2)
    assert moved not in (kept, None)
    cluster.update([A, B, C])
    assert cluster.pick("10.0.0.9", 3) == moved


def test_row_1_5_3_ports_of_one_service_do_not_share() -> None:
    records = AffinityRecords()
    web, api = sticky(records, A, B, C), sticky(records, A, B, C, port=API)
    moved = away(web, "10.0.0.9")
    assert api.pick("10.0.0.9", 1) != moved
    assert web.pick("10.0.0.9", 1) == moved


def test_nothing_is_remembered_without_an_endpoint_or_after_forgetting() -> None:
    records = AffinityRecords()
    assert sticky(records).pick("10.0.0.9") is None
    assert records.held == 0
    moved = away(sticky(records, A, B, C), "10.0.0.9")
    assert records.held == 1
    records.forget(WEB)
    records.forget(WEB)
    assert records.held == 0
    assert sticky(records, A, B, C).pick("10.0.0.9") != moved


def test_row_1_5_9_the_bound_takes_the_oldest_of_the_port_that_has_most() -> None:
    records = AffinityRecords(limit=10)
    few, many = sticky(records, A, B, port=API), sticky(records, A, B)
    few.pick("10.1.1.1", 0)
    for n in range(1000):
        many.pick(f"10.0.{n // 250}.{n % 250}", 1 + n / 1000)
        assert records.held <= 10
    assert [client for client, *_ in dict(records.everything(2, 100))[API]] == ["10.1.1.1"]
    assert [client for client, *_ in dict(records.everything(2, 100))[WEB]][-1] == "10.0.3.249"


def test_a_client_takes_the_memory_that_the_documentation_says() -> None:
    clients = 10_000
    names = [f"10.{100 + n // 62_500}.{n // 250 % 250}.{n % 250}" for n in range(clients)]
    records = AffinityRecords()
    one = sticky(records, A, B, C)
    tracemalloc.start()
    try:
        for number, client in enumerate(names):
            one.pick(str(bytes(client, "ascii"), "ascii"), float(number) / clients)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 10 < used / clients * 100_000 / 2**20 < 24, (
        "deploy/balancing.md and --affinity-clients say 20 MiB for 100,000"
    )


def test_records_out_of_date_go_when_new_ones_come() -> None:
    records = AffinityRecords()
    one = sticky(records, A, B, seconds=5)
    for n in range(100):
        one.pick(f"10.0.0.{n}", float(n))
    assert records.held <= 6


def test_news_are_told_once_and_refreshes_now_and_then() -> None:
    woken: list[None] = []
    records = AffinityRecords(wake=lambda: woken.append(None))
    one = sticky(records, A, seconds=60)
    step = 60 / REFRESH_SHARE
    one.pick("10.0.0.1", 0.0)
    one.pick("10.0.0.2", 0.1)
    assert len(woken) == 1
    assert records.take_news() == ((WEB, (("10.0.0.1", A, 0.0), ("10.0.0.2", A, 0.1))),)
    one.pick("10.0.0.1", step / 2)
    assert records.take_news() == ()
    one.pick("10.0.0.1", step)
    assert records.take_news() == ((WEB, (("10.0.0.1", A, step),)),)
    assert len(woken) == 2
    one.pick("10.0.0.3", 2.0)
    records.forget(WEB)
    assert records.take_news() == ()


def test_what_was_evicted_is_not_told() -> None:
    records = AffinityRecords(limit=2, wake=lambda: None)
    one = sticky(records, A)
    for n in range(4):
        one.pick(f"10.0.0.{n}", float(n))
    [(_, told)] = records.take_news()
    assert [client for client, *_ in told] == ["10.0.0.2", "10.0.0.3"]


def test_the_later_record_wins_and_shares_its_address() -> None:
    records = AffinityRecords()
    one = sticky(records, A, B, C)
    other = away(one, "10.0.0.9", now=5.0)
    records.learn(WEB, [("10.0.0.9", C, 4.0), ("10.0.0.8", (B[0], B[1]), 4.0)])
    records.learn(API, [("10.0.0.9", C, 9.0)])
    affinity = records.port(WEB, 60)
    assert affinity.find("10.0.0.9", 6.0) == other
    assert affinity.find("10.0.0.8", 6.0) is B
    records.learn(WEB, [("10.0.0.9", C, 5.5)])
    assert affinity.find("10.0.0.9", 6.0) == C
    assert records.held == 2


def test_a_new_worker_gets_all_that_counts_in_pieces() -> None:
    records = AffinityRecords()
    one = sticky(records, A, B, C, seconds=10)
    for n in range(5):
        one.pick(f"10.0.0.{n}", float(n))
    pieces = list(records.everything(now=10.5, size=2))
    assert [(port, [client for client, *_ in told]) for port, told in pieces] == [
        (WEB, ["10.0.0.1", "10.0.0.2"]),
        (WEB, ["10.0.0.3", "10.0.0.4"]),
    ]
    fresh = AffinityRecords()
    copy = sticky(fresh, A, B, C, seconds=10)
    for port, told in pieces:
        fresh.learn(port, told)
    assert [copy.pick(f"10.0.0.{n}", 10.6) for n in range(1, 5)] == [
        one.pick(f"10.0.0.{n}", 10.6) for n in range(1, 5)
    ]


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("connect"),
            st.sampled_from(CLIENTS),
            st.integers(0, 2),
            st.sets(st.sampled_from([A, B, C])),
        ),
        st.tuples(st.just("change"), st.sets(st.sampled_from([A, B, C]))),
        st.tuples(st.just("wait"), st.integers(1, 12)),
    ),
    max_size=40,
)


@given(STEPS, st.integers(1, 3))
def test_workers_together_match_one_naive_table(steps: list[tuple[object, ...]], count: int) -> None:
    """With every record told at once (each connection a step of its own) the workers are one table of (endpoint, time)."""
    workers = [AffinityRecords(wake=lambda: None) for _ in range(count)]
    ports = [sticky(records, A, B, C, seconds=20) for records in workers]
    table: dict[object, tuple[Address, float]] = {}
    usable, now = {A, B, C}, 0.0
    for step in steps:
        now += 1.0  # more than 20 / REFRESH_SHARE: every refresh is told
        if step[0] == "wait":
            now += float(step[1])  # type: ignore[arg-type]
        elif step[0] == "change":
            usable = step[1]  # type: ignore[assignment]
            for port in ports:
                port.update(sorted(usable))
        else:
            _, client, at, tried = step
            endpoint, seen = table.get(client, (None, 0.0))
            if endpoint not in usable or endpoint in tried or now - seen >= 20:  # type: ignore[operator]
                endpoint = SourceHash(usable).pick_other(tried, str(client))  # type: ignore[arg-type]
            if endpoint is not None:
                table[client] = endpoint, now
            mine = at % count  # type: ignore[operator]
            assert ports[mine].pick_other(tried, str(client), now) == endpoint  # type: ignore[arg-type]
            news = workers[mine].take_news()
            for other in workers:
                for port_key, told in news:
                    other.learn(port_key, told)


@given(
    st.lists(
        st.one_of(
            st.tuples(
                st.just("connect"),
                st.integers(0, 2),
                st.sampled_from(CLIENTS[:2]),
                st.sets(st.sampled_from([A, B, C]), max_size=2),
            ),
            st.tuples(st.just("deliver"), st.integers(0, 2)),
        ),
        max_size=40,
    )
)
def test_workers_end_with_the_same_answers_however_late_news_arrive(steps: list[tuple[object, ...]]) -> None:
    workers = [AffinityRecords(wake=lambda: None) for _ in range(3)]
    ports = [sticky(records, A, B, C, seconds=1000) for records in workers]
    late: list[list[tuple[object, object]]] = [[], [], []]
    """what each worker has not heard yet, in order"""

    def speak(number: int) -> None:
        for news in workers[number].take_news():
            for other in {0, 1, 2} - {number}:
                late[other].append(news)

    def hear(number: int) -> None:
        workers[number].learn(*late[number].pop(0))  # type: ignore[arg-type]
        speak(number)

    for now, step in enumerate(steps):
        number = int(step[1])  # type: ignore[call-overload]
        if step[0] == "connect":
            ports[number].pick_other(step[3], str(step[2]), now / 10)  # type: ignore[arg-type]
            speak(number)
        elif late[number]:
            hear(number)
    while any(late):
        for number in range(3):
            if late[number]:
                hear(number)
    affinities = [records.port(WEB, 1000) for records in workers]
    for client in CLIENTS[:2]:
        assert len({one.find(client, 10.0) for one in affinities}) == 1
