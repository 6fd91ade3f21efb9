"""What goes with its owner: slices and Endpoints whose Service (or Endpoints) is gone, or is another one by now.

Pure. Owns only references to the kinds that it is given; an owner of another kind counts as there.
Source: the garbage collector of kube-controller-manager, cut down to this.
"""

from __future__ import annotations

from userproxy.standalone.controllers.state import Settings, State, Write
from userproxy.standalone.kinds import ENDPOINT_SLICE, ENDPOINTS, SERVICE, Kind
from userproxy.standalone.objects import Json


def decide(state: State, _settings: Settings) -> list[Write]:
    """Return the deletions of what has lost all its owners."""
    writes: list[Write] = []
    if state.endpoints is not None and _is_orphan(state.endpoints, state):
        writes.append(Write("delete", ENDPOINTS, state.endpoints))
    writes += [Write("delete", ENDPOINT_SLICE, item) for item in state.slices if _is_orphan(item, state)]
    return writes


def _is_orphan(item: Json, state: State) -> bool:
    references = item["metadata"].get("ownerReferences") or []
    return bool(references) and all(_is_gone(reference, state) for reference in references)


def _is_gone(reference: Json, state: State) -> bool:
    known: dict[str, tuple[Kind, Json | None]] = {
        "Service": (SERVICE, state.service),
        "Endpoints": (ENDPOINTS, state.endpoints),
    }
    kind, owner = known.get(reference["kind"], (None, None))
    if kind is None or reference["apiVersion"] != kind.api_version or reference["name"] != state.name:
        return False
    return owner is None or bool(owner["metadata"]["uid"] != reference["uid"])
