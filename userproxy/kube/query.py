"""The query parameters of list and watch requests.

Owns their names and which of them go together (the server refuses or silently changes other combinations). Pure; sends nothing.
"""

from __future__ import annotations

PAGE_LIMIT = 500
ANY_VERSION = "0"
"""resourceVersion of a list that may come from the server's cache, however old."""


def list_query(version: str, next_page: str = "", *, paged: bool = True) -> dict[str, str]:
    """Return the parameters of a list.

    `version` empty asks for the newest state, `ANY_VERSION` for any, another one for a state not older than it.
    A limit together with a version other than "0" would mean exactly that version, so such a list is never paged.
    """
    if next_page:
        return {"limit": str(PAGE_LIMIT), "continue": next_page}
    query: dict[str, str] = {}
    if version:
        query["resourceVersion"] = version
    if paged and version in ("", ANY_VERSION):
        query["limit"] = str(PAGE_LIMIT)
    return query


def watch_query(version: str, timeout: int) -> dict[str, str]:
    """Return the parameters of a watch that begins after `version` and that the server ends after `timeout` seconds."""
    return {
        "watch": "true",
        "resourceVersion": version,
        "allowWatchBookmarks": "true",
        "timeoutSeconds": str(timeout),
    }


def streaming_list_query(timeout: int) -> dict[str, str]:
    """Return the parameters of a watch that begins with everything there is (KEP-3157), newest state."""
    return {
        "watch": "true",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": str(timeout),
    }


def selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    """Return the parameters that let the server filter; empty selectors are left out."""
    query = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {name: value for name, value in query.items() if value}
