"""Fetches a complete list, page by page.

Owns paging and what to do when a page token has expired. When to list, and from which version, is `kube.reflector`'s.
"""

from __future__ import annotations

import asyncio

from userproxy.errors import DecodeError
from userproxy.kube.client import ApiClient
from userproxy.kube.failures import RequestFailed
from userproxy.kube.query import PAGE_LIMIT, list_query
from userproxy.kube.reading import ObjectReader
from userproxy.kube.store import Listing
from userproxy.kube.wire import ListPage, parse_list

MOST_PAGES = 10_000
"""Five million objects; a server that goes on for longer repeats itself."""


async def fetch_list(
    client: ApiClient, path: str, selectors: dict[str, str], resource: str, version: str, reader: ObjectReader
) -> tuple[str, Listing]:
    """Return the version of the list and its objects; raise RequestFailed.

    `version` is what `query.list_query` takes. An expired page token (410) leads to one list in full.
    """
    try:
        return await _fetch_pages(client, path, selectors, resource, list_query(version), reader)
    except _PageExpired:
        return await _fetch_pages(client, path, selectors, resource, list_query("", paged=False), reader)


class _PageExpired(Exception):
    """The token for the next page is too old; what came on the pages before is of no use."""


async def _fetch_pages(
    client: ApiClient,
    path: str,
    selectors: dict[str, str],
    resource: str,
    query: dict[str, str],
    reader: ObjectReader,
) -> tuple[str, Listing]:
    listing = Listing()
    asked = f"list {resource}"
    for _ in range(MOST_PAGES):
        try:
            page = parse_list(await client.fetch(path, query | selectors, asked))
        except DecodeError as error:
            raise RequestFailed(
                f"the API server did not answer with a list when asked to {asked}: {error}", "bad_list"
            ) from error
        except RequestFailed as failure:
            if failure.status == 410 and "continue" in query:
                raise _PageExpired from failure
            raise
        await _read_page(page, listing, reader)
        if not page.next_page:
            return page.version, listing
        query = list_query("", page.next_page)
    raise RequestFailed(f"the API server gave more than {MOST_PAGES} pages when asked to {asked}", "bad_list")


async def _read_page(page: ListPage, listing: Listing, reader: ObjectReader) -> None:
    """Read the objects of one page. Servers that answer in one page get no longer hold of the event loop than others."""
    for start in range(0, len(page.items), PAGE_LIMIT):
        for item in page.items[start : start + PAGE_LIMIT]:
            reader.read(item, listing)
        await asyncio.sleep(0)
