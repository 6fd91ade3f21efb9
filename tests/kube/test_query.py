"""The parameters of requests, and which go together."""

from __future__ import annotations

from userproxy.kube.query import ANY_VERSION, list_query, selectors, streaming_list_query, watch_query


def test_lists() -> None:
    assert list_query(ANY_VERSION) == {"resourceVersion": "0", "limit": "500"}
    assert list_query("") == {"limit": "500"}
    assert list_query("", paged=False) == {}
    assert list_query("", "token") == {"limit": "500", "continue": "token"}
    # With a limit the server would take the version as an exact one.
    assert list_query("7") == {"resourceVersion": "7"}


def test_watches() -> None:
    assert watch_query("7", 300)["resourceVersion"] == "7"
    assert watch_query("7", 300)["allowWatchBookmarks"] == "true"
    streaming = streaming_list_query(300)
    assert streaming["sendInitialEvents"] == "true"
    assert streaming["resourceVersionMatch"] == "NotOlderThan"
    assert "resourceVersion" not in streaming


def test_empty_selectors_are_left_out() -> None:
    assert selectors("", "") == {}
    assert selectors("!a", "b=c") == {"labelSelector": "!a", "fieldSelector": "b=c"}
