"""What the controllers need of an API server: the changes of five kinds, and three ways to write.

Owns the contract. `in_process` fulfils it with this process's registry, `over_http` with any server.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from userproxy.errors import UserproxyError
from userproxy.standalone.kinds import ENDPOINT_SLICE, ENDPOINTS, NODE, POD, SERVICE, Kind
from userproxy.standalone.objects import Json

WATCHED: tuple[Kind, ...] = (NODE, SERVICE, POD, ENDPOINTS, ENDPOINT_SLICE)

Deliver = Callable[[Kind, str, Json | None], None]
"""Takes the newest state of the object with a key, None when it is gone."""


class WriteFailed(UserproxyError):
    """A write that did not happen. It is decided and tried anew later, from the state of that time."""


class Cluster(Protocol):
    """An API server as the controllers see it."""

    def follow(self, deliver: Deliver) -> AbstractAsyncContextManager[None]:
        """Deliver what exists before the block begins, and within it every change, in order for each kind."""

    async def create(self, kind: Kind, item: Json) -> Json:
        """Create an object and return it as stored. Raises WriteFailed."""

    async def replace(self, kind: Kind, item: Json) -> Json:
        """Replace an object of the version in its metadata and return it as stored. Raises WriteFailed."""

    async def delete(self, kind: Kind, item: Json) -> None:
        """Delete an object if it is still the one with that uid; one that is gone is fine. Raises WriteFailed."""
