"""Which endpoint goes into which EndpointSlice: stay where you are, fill what is written anyway, then open new slices.

Pure. Source: `k8s.io/endpointslice/reconciler.go` (reconcileByPortMapping, getSliceToFill). Slices are not rebalanced.
"""

from __future__ import annotations

from userproxy.standalone.controllers.drafts import Draft, Outcome, PortsKey, endpoint_key, same_endpoint
from userproxy.standalone.objects import Json

Wanted = dict[PortsKey, Json]
"""Endpoints by identity, in the order in which they are placed."""


def pack(
    family: str, ports: list[Json], wanted: Wanted, existing: list[Json], most: int, labels: dict[str, str]
) -> Outcome:
    """Place the endpoints that share one port list, at most `most` in a slice."""
    left = dict(wanted)
    drafts: list[Draft] = []
    leaving: list[Json] = []
    for item in existing:
        draft = _kept(item, family, ports, left)
        if draft.changed and not draft.endpoints:
            leaving.append(item)
            continue
        draft.changed = draft.changed or (item["metadata"].get("labels") or {}) != labels
        drafts.append(draft)
    waiting = list(left.values())
    for draft in sorted((draft for draft in drafts if draft.changed), key=lambda draft: -draft.size):
        _fill(draft, waiting, most)
    while waiting:
        target = _fitting(drafts, len(waiting), most) if len(waiting) < most else None
        if target is None:
            target = Draft(family, ports, [])
            drafts.append(target)
        target.changed = True
        _fill(target, waiting, most)
    return Outcome(drafts, leaving)


def _kept(item: Json, family: str, ports: list[Json], left: Wanted) -> Draft:
    """Return what stays of a slice; takes the endpoints that it holds out of `left`."""
    before = item["endpoints"] or []
    kept: list[Json] = []
    changed = False
    for endpoint in before:
        new = left.pop(endpoint_key(endpoint), None)
        if new is not None:
            changed = changed or not same_endpoint(new, endpoint)
            kept.append(new)
    changed = changed or len(kept) != len(before)
    # endpoints that did not change keep their hints
    return Draft(family, ports, kept if changed else list(before), existing=item, changed=changed)


def _fill(draft: Draft, waiting: list[Json], most: int) -> None:
    room = max(0, most - draft.size)
    draft.endpoints.extend(waiting[:room])
    del waiting[:room]


def _fitting(drafts: list[Draft], count: int, most: int) -> Draft | None:
    """Return the slice, not written otherwise, that would be fullest with `count` endpoints more."""
    fitting = [draft for draft in drafts if not draft.changed and draft.size + count <= most]
    return max(fitting, key=lambda draft: draft.size, default=None)
