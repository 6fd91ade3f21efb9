"""Lists: which version of the objects a request gets, and page by page how.

Owns the meaning of resourceVersion, resourceVersionMatch, limit and continue for lists. Synchronous, so that one list is
one state of the store; waiting for a version from the future is the server's.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

import msgspec

from userproxy.standalone import statuses
from userproxy.standalone.kinds import Kind
from userproxy.standalone.objects import Json
from userproxy.standalone.options import ListOptions
from userproxy.standalone.store import ExpiredVersion, MemoryStore


class _Token(msgspec.Struct):
    """What a continue token holds; its text is the one a real server uses."""

    v: str
    rv: int
    start: str


class Page(msgspec.Struct, frozen=True):
    """One page of a list, with the metadata of the list."""

    metadata: Json
    items: list[Json]


def list_page(store: MemoryStore, kind: Kind, namespace: str, options: ListOptions) -> Page:
    """Return one page. Raises Refusal (400, 410)."""
    prefix = f"{namespace}/" if namespace else ""
    after, version = "", store.version
    exact: int | None = None
    if options.continue_token:
        token = _decode_token(options.continue_token)
        # the token names the place after a key by the key and a zero character
        after = prefix + token.start.lstrip("/").removesuffix("\0")
        exact = None if token.rv < 0 else token.rv
    elif options.version and (options.match == "Exact" or (options.limit and not options.match)):
        exact = options.version
    try:
        if exact is None or exact == version:
            found = store.items(kind, after, prefix)
        else:
            found, version = store.items_at(kind, exact, after, prefix), exact
        # with resourceVersion=0 a limit is not heeded, as the watch cache of a real server does not
        limit = 0 if options.version == 0 and not options.continue_token else options.limit
        return _page(found, options, limit, version, prefix)
    except ExpiredVersion as expired:
        if options.continue_token:
            again = _encode_token(-1, after.removeprefix(prefix))
            raise statuses.expired_continue(again) from expired
        raise statuses.expired_list() from expired


def _page(
    found: Iterator[tuple[str, Json]], options: ListOptions, limit: int, version: int, prefix: str
) -> Page:
    metadata: Json = {"resourceVersion": str(version)}
    items: list[Json] = []
    last = ""
    for key, item in found:
        if not options.test(item):
            continue
        if limit and len(items) == limit:
            metadata["continue"] = _encode_token(version, "/" + last.removeprefix(prefix))
            if not options.has_selector:
                metadata["remainingItemCount"] = 1 + sum(1 for _entry in found)
            break
        items.append(item)
        last = key
    return Page(metadata, items)


def _encode_token(version: int, key: str) -> str:
    token = msgspec.json.encode(_Token("meta.k8s.io/v1", version, f"{key}\0"))
    return base64.urlsafe_b64encode(token).decode().rstrip("=")


def _decode_token(text: str) -> _Token:
    try:
        padded = text + "=" * (-len(text) % 4)
        token = msgspec.json.decode(base64.urlsafe_b64decode(padded.encode()), type=_Token)
    except (ValueError, msgspec.DecodeError) as fault:
        raise statuses.bad_request(f"invalid continue token: continue key is not valid: {fault}") from fault
    if token.v != "meta.k8s.io/v1" or not token.start or ".." in token.start:
        raise statuses.bad_request("invalid continue token: continue key is not valid")
    return token
