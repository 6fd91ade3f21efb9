"""The controllers' picture of the cluster, indexed so that a change finds the Services it matters to at once.

Owns the indexes. Pure but for being changed: state comes in by `apply`, `state` gives what a decision needs.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import TypeVar

import msgspec

from userproxy.standalone.controllers import names
from userproxy.standalone.controllers.pods import facts, selects
from userproxy.standalone.controllers.proportional import is_wanted, node_facts
from userproxy.standalone.controllers.services import selector_of
from userproxy.standalone.controllers.state import State
from userproxy.standalone.kinds import ENDPOINT_SLICE, ENDPOINTS, NODE, POD, SERVICE, Kind
from userproxy.standalone.objects import Json, labels_of, namespace_of, object_key

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")
_Term = tuple[str, str, str]
"""Namespace, label and value; label and value are empty for what every Pod of the namespace has in common."""


class View:
    """Five kinds of objects by key, with Pods and Services found through each other's labels."""

    def __init__(self) -> None:
        self._objects: dict[Kind, dict[str, Json]] = {
            kind: {} for kind in (NODE, POD, SERVICE, ENDPOINTS, ENDPOINT_SLICE)
        }
        self._pods: dict[_Term, dict[str, Json]] = {}
        self._selecting: dict[_Term, dict[str, dict[str, str]]] = {}
        self._term_of: dict[str, _Term] = {}
        self._slices: dict[str, dict[str, Json]] = {}
        self._sharing: set[str] = set()

    def get(self, kind: Kind, key: str) -> Json | None:
        """Return an object, None when there is none."""
        return self._objects[kind].get(key)

    def apply(self, kind: Kind, key: str, current: Json | None) -> set[str]:
        """Take in the newest state of an object; returns the keys of the Services that it may matter to."""
        objects = self._objects[kind]
        previous = objects.get(key)
        if current is None:
            objects.pop(key, None)
        else:
            objects[key] = current
        if kind is POD:
            return self._pod(key, previous, current)
        if kind is ENDPOINT_SLICE:
            return self._slice(key, previous, current)
        if kind is NODE:
            return self._node(key, previous, current)
        if kind is SERVICE:
            self._service(key, current)
        return {key}

    def state(self, key: str) -> State:
        """Return all that exists around a Service name, without a trigger time."""
        namespace, _slash, name = key.rpartition("/")
        service = self.get(SERVICE, key)
        return State(
            namespace=namespace,
            name=name,
            service=service,
            endpoints=self.get(ENDPOINTS, key),
            slices=tuple(self._slices.get(key, {}).values()),
            pods=tuple(self._selected(namespace, selector_of(service))),
            nodes=self._objects[NODE],
        )

    def again(self, key: str, state: State) -> State:
        """Return a state with the Endpoints and slices of now, after these were written."""
        slices = tuple(self._slices.get(key, {}).values())
        return msgspec.structs.replace(state, endpoints=self.get(ENDPOINTS, key), slices=slices)

    def _selected(self, namespace: str, selector: dict[str, str] | None) -> Iterator[Json]:
        if selector is None:
            return
        terms = [(namespace, label, value) for label, value in selector.items()] or [(namespace, "", "")]
        fewest = min((self._pods.get(term, {}) for term in terms), key=len)
        for pod in fewest.values():
            if selects(selector, pod):
                yield pod

    def _pod(self, key: str, previous: Json | None, current: Json | None) -> set[str]:
        if previous is not None and current is not None and facts(previous) == facts(current):
            for term in _terms(current):
                self._pods[term][key] = current
            return set()
        affected: set[str] = set()
        if previous is not None:
            affected |= self._services_of(previous)
            for term in _terms(previous):
                _discard(self._pods, term, key)
        if current is not None:
            affected |= self._services_of(current)
            for term in _terms(current):
                self._pods.setdefault(term, {})[key] = current
        return affected

    def _services_of(self, pod: Json) -> set[str]:
        return {
            key
            for term in _terms(pod)
            for key, selector in self._selecting.get(term, {}).items()
            if selects(selector, pod)
        }

    def _service(self, key: str, current: Json | None) -> None:
        self._sharing.discard(key)
        if current is not None and is_wanted(current):
            self._sharing.add(key)
        if key in self._term_of:
            _discard(self._selecting, self._term_of.pop(key), key)
        selector = selector_of(current)
        if selector is None or current is None:
            return
        namespace = namespace_of(current)
        terms = [(namespace, label, value) for label, value in selector.items()] or [(namespace, "", "")]
        # under the rarest of its labels, since Services often share one
        term = min(terms, key=lambda term: len(self._selecting.get(term, {})))
        self._term_of[key] = term
        self._selecting.setdefault(term, {})[key] = selector

    def _slice(self, key: str, previous: Json | None, current: Json | None) -> set[str]:
        affected: set[str] = set()
        for item in (previous, current):
            affected |= set(_names_of(item)) if item is not None else set()
        for service in _names_of(previous) if previous is not None else ():
            _discard(self._slices, service, key)
        for service in _names_of(current) if current is not None else ():
            self._slices.setdefault(service, {})[key] = current or {}
        return affected

    def _node(self, name: str, previous: Json | None, current: Json | None) -> set[str]:
        facts_of = [node_facts(node) if node is not None else None for node in (previous, current)]
        affected = set(self._sharing) if facts_of[0] != facts_of[1] else set()
        # as at a real controller: for other Services a change of a Node counts at the next change of something else
        return affected | self._on_node(name) if previous is None else affected

    def _on_node(self, name: str) -> set[str]:
        affected: set[str] = set()
        for pod in self._objects[POD].values():
            if pod["spec"].get("nodeName") == name:
                affected |= self._services_of(pod)
        return affected


def _terms(pod: Json) -> Iterator[_Term]:
    namespace = namespace_of(pod)
    yield (namespace, "", "")
    for label, value in labels_of(pod).items():
        yield (namespace, label, value)


def _names_of(item: Json) -> Iterable[str]:
    """Return the keys of the Services that a slice belongs to, by its label or its owners."""
    metadata = item["metadata"]
    found = {labels_of(item).get(names.SERVICE_NAME, "")}
    found |= {
        reference["name"]
        for reference in metadata.get("ownerReferences") or []
        if reference["kind"] in (SERVICE.kind, ENDPOINTS.kind)
    }
    return [object_key(metadata["namespace"], name) for name in found if name]


def _discard(index: dict[_K, dict[str, _V]], term: _K, key: str) -> None:
    entries = index.get(term)
    if entries is not None:
        entries.pop(key, None)
        if not entries:
            del index[term]
