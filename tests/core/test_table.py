"""The service table: rows 1.2.x and 1.3.x of kube-proxy's behaviour."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tests.build import endpoint_slice, name, service, services, slices
from userproxy.api_objects import Changes, Node, Service, ServiceSpecPort
from userproxy.core.table import ServiceTable
from userproxy.model import Balance, Endpoint, Family, NoEndpoints, PortOptions, ServiceName


def filled(*batches: Changes) -> ServiceTable:
    table = ServiceTable()
    for batch in batches:
        table.apply(batch)
    return table


def addresses(table: ServiceTable, service_name: str) -> dict[str, list[str]]:
    return {
        str(port.key): [f"{one.address}:{one.port}" for one in port.endpoints]
        for port in table.service_ports(name(service_name))
    }


def test_row_1_1_8_complete_only_when_both_are_listed() -> None:
    table = filled(services(service("web")))
    assert not table.complete
    table.apply(slices(listed=False))
    assert not table.complete
    table.apply(slices())
    assert table.complete
    assert table.listed == {"services", "endpointslices"}


def test_row_1_2_1_one_entry_for_each_port() -> None:
    table = filled(
        services(service("web", ports={"http": 80, "admin": 81})),
        slices(endpoint_slice("web-1", "web", "10.0.0.1", ports={"http": 8080, "admin": 9090})),
    )
    assert addresses(table, "web") == {
        "default/web:http": ["10.0.0.1:8080"],
        "default/web:admin": ["10.0.0.1:9090"],
    }


def test_row_1_2_3_protocols_with_one_number_are_apart() -> None:
    dns = Service(
        "default", "dns", ("10.96.0.53",), (ServiceSpecPort("d", "UDP", 53), ServiceSpecPort("d", "TCP", 53))
    )
    table = filled(services(dns), slices(endpoint_slice("s", "dns", "10.0.0.1", ports={"d": 5353})))
    assert addresses(table, "dns") == {"default/dns:d/udp": [], "default/dns:d": ["10.0.0.1:5353"]}


def test_options_are_those_of_the_service_else_the_defaults() -> None:
    table = ServiceTable(PortOptions(eject_failures=3))
    table.apply(services(service("web"), service("db", balance="source-hash")))

    def options() -> dict[str, PortOptions]:
        return {name.name: ports[0].options for name, ports in table.take().items()}

    assert options() == {
        "web": PortOptions(eject_failures=3),
        "db": PortOptions(eject_failures=3, balance=Balance.SOURCE_HASH),
    }
    table.configure(PortOptions(balance=Balance.RANDOM_TWO))
    assert options() == {
        "web": PortOptions(balance=Balance.RANDOM_TWO),
        "db": PortOptions(balance=Balance.SOURCE_HASH),
    }


def test_row_1_2_4_and_1_3_2_families_are_apart() -> None:
    table = filled(
        services(service("web", "10.96.0.10", "fd00::10")),
        slices(endpoint_slice("four", "web", "10.0.0.1"), endpoint_slice("six", "web", "fd00:1::1")),
    )
    assert addresses(table, "web") == {
        "default/web": ["10.0.0.1:8080"],
        "default/web[IPv6]": ["fd00:1::1:8080"],
    }
    [four, six] = table.service_ports(name("web"))
    assert (four.key.family, four.cluster_ip) == (Family.IPV4, "10.96.0.10")
    assert (six.key.family, six.cluster_ip) == (Family.IPV6, "fd00::10")


def test_row_1_3_3_slices_are_merged_with_their_own_port_numbers() -> None:
    table = filled(
        services(service("web", ports={"http": 80})),
        slices(
            endpoint_slice("b", "web", "10.0.0.2", ports={"http": 8081}),
            endpoint_slice("a", "web", "10.0.0.1", ports={"http": 8080}),
            endpoint_slice("c", "web", "10.0.0.3", ports={"other": 8082}),
            endpoint_slice("d", "web", "10.0.0.4", ports={}),
        ),
    )
    assert addresses(table, "web") == {"default/web:http": ["10.0.0.1:8080", "10.0.0.2:8081"]}


def test_row_1_3_7_a_running_endpoint_beats_a_terminating_one() -> None:
    gone = Endpoint("10.0.0.1", ready=False, serving=True, terminating=True)
    for order in (("a", "b"), ("b", "a")):
        table = filled(
            services(service("web")),
            slices(endpoint_slice(order[0], "web", gone), endpoint_slice(order[1], "web", "10.0.0.1")),
        )
        [port] = table.service_ports(name("web"))
        assert port.endpoints == (Endpoint("10.0.0.1", 8080),)


def test_row_1_3_8_sorted_by_text() -> None:
    table = filled(
        services(service("web")), slices(endpoint_slice("a", "web", "10.0.0.9", "10.0.0.10", "10.0.0.1"))
    )
    assert addresses(table, "web") == {"default/web": ["10.0.0.10:8080", "10.0.0.1:8080", "10.0.0.9:8080"]}


def test_row_1_3_12_slices_wait_for_their_service() -> None:
    table = filled(slices(endpoint_slice("a", "web", "10.0.0.1")))
    assert list(table.service_ports(name("web"))) == []
    table.apply(services(service("web")))
    assert addresses(table, "web") == {"default/web": ["10.0.0.1:8080"]}


def test_row_1_3_13_a_slice_that_changes_its_service_leaves_the_old_one() -> None:
    table = filled(
        services(service("web"), service("db")),
        slices(endpoint_slice("a", "web", "10.0.0.1")),
    )
    table.take()
    table.apply(slices(endpoint_slice("a", "db", "10.0.0.1")))
    taken = table.take()
    assert set(taken) == {name("web"), name("db")}
    assert taken[name("web")][0].endpoints == ()
    assert taken[name("db")][0].endpoints == (Endpoint("10.0.0.1", 8080),)


def test_a_port_listed_twice_counts_once() -> None:
    twice = Service(
        "default", "web", ("10.96.0.10",), (ServiceSpecPort("", "TCP", 80), ServiceSpecPort("", "TCP", 81))
    )
    assert [port.port for port in filled(services(twice)).service_ports(name("web"))] == [80]


def test_row_1_3_10_take_returns_what_was_touched_once() -> None:
    table = filled(services(service("web"), service("db")))
    assert set(table.take()) == {name("web"), name("db")}
    assert table.take() == {}
    table.apply(slices(endpoint_slice("a", "web", "10.0.0.1")))
    assert table.touched == 1
    assert set(table.take()) == {name("web")}
    table.touch([name("db")])
    assert set(table.take()) == {name("db")}


def test_take_begins_with_those_that_wait_longest() -> None:
    table = filled(services(service("web"), service("db"), service("api")))
    assert list(table.take(2)) == [name("db"), name("web")]
    table.touch([name("web"), name("api")])
    assert list(table.take(1)) == [name("api")]
    assert list(table.take(5)) == [name("web")]


def test_removals() -> None:
    table = filled(services(service("web")), slices(endpoint_slice("a", "web", "10.0.0.1")))
    table.take()
    table.apply(slices(removed=("a", "unknown")))
    assert table.take()[name("web")][0].endpoints == ()
    table.apply(services(removed=("web", "unknown")))
    assert table.take() == {name("web"): ()}
    assert list(table.services()) == []


def test_one_of_two_slices_removed() -> None:
    table = filled(
        services(service("web")),
        slices(endpoint_slice("a", "web", "10.0.0.1"), endpoint_slice("b", "web", "10.0.0.2")),
    )
    table.apply(slices(removed=("a",)))
    assert addresses(table, "web") == {"default/web": ["10.0.0.2:8080"]}


def test_annotations_and_warnings() -> None:
    table = filled(services(service("web", no_endpoints="reject"), service("db", no_endpoints="?")))
    [web] = table.service_ports(name("web"))
    assert web.no_endpoints is NoEndpoints.REJECT
    assert table.warnings(name("web")) == ()
    assert len(table.warnings(name("db"))) == 1
    assert table.warnings(name("unknown")) == ()


def test_own_node_is_kept_and_leaves_when_deleted() -> None:
    table = ServiceTable()
    table.apply(Changes("nodes", (), (ServiceName("", "n1"),), True))
    assert table.node == Node("n1", leaving=True)
    table.apply(Changes("nodes", (Node("n1", "zone-a"),)))
    assert table.node == Node("n1", "zone-a")
    table.apply(Changes("nodes", (), (ServiceName("", "n1"),)))
    assert table.node == Node("n1", "zone-a", leaving=True)


SLICES = st.builds(
    lambda number, owner, hosts, port: endpoint_slice(
        f"s{number}",
        f"svc{owner}",
        *[f"10.0.0.{h}" for h in sorted(hosts)],
        ports={"": port},
        family=Family.IPV4,
    ),
    st.integers(0, 4),
    st.integers(0, 2),
    st.sets(st.integers(1, 5)),
    st.sampled_from([8080, 8081]),
)
STEPS = st.lists(
    st.one_of(SLICES, st.integers(0, 4), st.tuples(st.integers(0, 2), st.booleans())), max_size=25
)


@given(STEPS)
def test_any_sequence_gives_what_a_fresh_table_gives(steps: list[object]) -> None:
    table = ServiceTable()
    seen_services: dict[str, Service] = {}
    seen_slices: dict[str, object] = {}
    known: dict[ServiceName, object] = {}
    for step in steps:
        if isinstance(step, int):
            table.apply(slices(removed=(f"s{step}",)))
            seen_slices.pop(f"s{step}", None)
        elif isinstance(step, tuple):
            text = f"svc{step[0]}"
            if step[1]:
                seen_services[text] = service(text)
                table.apply(services(service(text)))
            else:
                seen_services.pop(text, None)
                table.apply(services(removed=(text,)))
        else:
            table.apply(slices(step))
            seen_slices[step.name] = step
        known.update(table.take())
    fresh = filled(services(*seen_services.values()), slices(*seen_slices.values()))
    for service_name, ports in known.items():
        assert tuple(fresh.service_ports(service_name)) == ports


def test_other_defaults_are_taken_over_by_every_service_that_does_not_ask() -> None:
    table = ServiceTable(PortOptions(eject_failures=1))
    table.apply(services(service("web"), service("api", eject="5")))
    table.take()
    table.configure(PortOptions(eject_failures=2))
    options = {name.name: ports[0].options.eject_failures for name, ports in table.take().items()}
    assert options == {"web": 2, "api": 5}


def test_labels_are_there_for_who_asks() -> None:
    table = ServiceTable()
    table.apply(services(structs.replace(service("web"), labels=(("app", "web"),))))
    assert table.labels(name("web")) == {"app": "web"}
    assert table.labels(name("gone")) == {}
