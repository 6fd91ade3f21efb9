"""What a store delivers makes a naive receiver equal to it, with no change that changes nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.kube.mirror import Mirror
from userproxy.api_objects import KubeObject, Service
from userproxy.kube.store import Listing, Store
from userproxy.model import ServiceName

NAMES = ["a", "b", "c", "d"]
values = st.tuples(st.sampled_from(NAMES), st.none() | st.sampled_from(["10.0.0.1", "10.0.0.2"]))
# A script is a list of batches: put each value, or take all of them as a new list; what is told afterwards is checked.
batches = st.lists(st.tuples(st.booleans(), st.lists(values)))


def key(name: str) -> ServiceName:
    return ServiceName("ns", name)


def made(name: str, ip: str | None) -> KubeObject | None:
    return None if ip is None else Service("ns", name, (ip,), ())


@given(batches)
def test_receiver_equals_the_store(script: list[tuple[bool, list[tuple[str, str | None]]]]) -> None:
    store, mirror, model = Store("services"), Mirror(), dict[ServiceName, KubeObject]()
    for listed, batch in script:
        listing = Listing()
        if listed:
            model.clear()
        for name, ip in batch:
            value = made(name, ip)
            (listing if listed else store).put(key(name), value)
            model.pop(key(name), None)
            if value is not None:
                model[key(name)] = value
        if listed:
            store.replace(listing)
        changes = store.take_changes(listed=listed)
        if listed or changes.changed or changes.removed:
            mirror.deliver(changes)
        assert mirror.stores["services"] == model
        assert len(store) == len(model)


def test_unreadable_objects_of_a_list_stay_as_they_were() -> None:
    store = Store("services")
    for name in NAMES:
        store.put(key(name), made(name, "10.0.0.1"))
    store.take_changes()
    listing = Listing()
    listing.put(key("a"), made("a", "10.0.0.1"))
    listing.keep(key("b"))
    listing.keep(key("c"))
    listing.put(key("c"), None)
    listing.keep(key("new"))
    store.replace(listing)
    changes = store.take_changes(listed=True)
    assert changes.changed == ()
    assert set(changes.removed) == {key("c"), key("d")}
    assert len(store) == 2


def test_keep_changes_nothing() -> None:
    store = Store("services")
    store.put(key("a"), made("a", "10.0.0.1"))
    store.take_changes()
    store.keep(key("a"))
    changes = store.take_changes()
    assert (changes.changed, changes.removed) == ((), ())
