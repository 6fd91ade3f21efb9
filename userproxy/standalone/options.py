"""Query parameters of requests: parsed, checked against each other, refused in the words of a real server.

Owns ListOptions, the options of writes and of deletes. What they lead to is elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from userproxy.standalone.decoding import WriteOptions
from userproxy.standalone.deletion import DeleteOptions
from userproxy.standalone.kinds import Kind
from userproxy.standalone.objects import Json
from userproxy.standalone.selectors import Test, parse_fields, parse_labels, test_for
from userproxy.standalone.statuses import (
    bad_options,
    bad_request,
    forbidden,
    internal,
    invalid,
    required,
    unsupported,
)

Query = Mapping[str, str]
_LARGEST = 2**63
_LONGEST_MANAGER = 128


class ListOptions(msgspec.Struct, frozen=True):
    """Parameters of a list or watch. `version` is None when none is given; `timeout` is in seconds, 0 for none."""

    test: Test
    has_selector: bool
    limit: int = 0
    continue_token: str = ""
    version: int | None = None
    match: str = ""
    watch: bool = False
    bookmarks: bool = False
    send_initial_events: bool | None = None
    timeout: int = 0


def parse_list_options(query: Query, kind: Kind, name: str = "", *, watch: bool = False) -> ListOptions:
    """Parse the parameters of a list or watch; `name` selects one object. Raises Refusal (400, 422, 500)."""
    labels = parse_labels(query.get("labelSelector", ""))
    fields = parse_fields(query.get("fieldSelector", ""), kind)
    if name:
        fields = (*fields, *parse_fields(f"metadata.name={name}", kind))
    watching = watch or flag(query, "watch")
    options = ListOptions(
        test=test_for(labels, fields, kind),
        has_selector=bool(labels or fields),
        limit=max(0, _integer(query, "limit")),
        continue_token=query.get("continue", ""),
        version=_version(query, watching=watching),
        match=query.get("resourceVersionMatch", ""),
        watch=watching,
        bookmarks=flag(query, "allowWatchBookmarks"),
        send_initial_events=flag(query, "sendInitialEvents") if "sendInitialEvents" in query else None,
        timeout=max(0, _integer(query, "timeoutSeconds")),
    )
    _check_list_options(options, query)
    return options


def _check_list_options(options: ListOptions, query: Query) -> None:
    match, version_given = options.match, bool(query.get("resourceVersion"))
    field, fault = "resourceVersionMatch", ""
    initial = options.send_initial_events
    if initial is not None and not options.watch:
        field, fault = "sendInitialEvents", "sendInitialEvents is forbidden for list"
    elif initial is not None and match != "NotOlderThan":
        fault = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
    elif options.watch and match and initial is None:
        fault = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
    elif match and not options.watch and not version_given:
        fault = "resourceVersionMatch is forbidden unless resourceVersion is provided"
    elif match and not options.watch and options.continue_token:
        fault = "resourceVersionMatch is forbidden when continue is provided"
    elif match == "Exact" and options.version == 0:
        fault = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
    if fault:
        raise bad_options("ListOptions", forbidden(field, fault))
    if match not in ("", "Exact", "NotOlderThan"):
        raise bad_options("ListOptions", unsupported(field, match, ("Exact", "NotOlderThan", "")))
    if options.continue_token and not options.watch and version_given and options.version != 0:
        raise bad_request("specifying resource version is not allowed when using continue")


def flag(query: Query, name: str) -> bool:
    """Return a boolean parameter as Go's conversion reads it: everything but `0` and `false` is true."""
    return name in query and query[name].lower() not in ("0", "false")


def _integer(query: Query, name: str) -> int:
    text = query.get(name, "")
    if not text:
        return 0
    try:
        number = int(text) if len(text) < 24 else _LARGEST
    except ValueError as fault:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from fault
    if not -_LARGEST <= number < _LARGEST:
        raise bad_request(f'strconv.ParseInt: parsing "{text[:24]}": value out of range')
    return number


def _version(query: Query, *, watching: bool) -> int | None:
    text = query.get("resourceVersion", "")
    if not text:
        return None
    if text.isascii() and text.isdecimal() and len(text) < 20:
        return int(text)
    shown = text[:40]
    fault = f'resourceVersion: Invalid value: "{shown}": strconv.ParseUint: parsing "{shown}": invalid syntax'
    raise internal(fault) if watching else bad_request(f"invalid resource version: {fault}")


def parse_get_version(query: Query) -> int | None:
    """Return the version a GET of one object asks for at least. Raises Refusal."""
    return _version(query, watching=False)


def parse_write_options(query: Query, options: str, user_agent: str) -> WriteOptions:
    """Parse the parameters of a write; `options` names them in refusals, such as `CreateOptions`.

    A client that names no field manager is known by the first part of its user agent.
    """
    validation = query.get("fieldValidation", "") or "Warn"
    if validation not in ("Ignore", "Strict", "Warn"):
        raise bad_options(
            options, unsupported("fieldValidation", validation, ("", "Ignore", "Strict", "Warn"))
        )
    manager = query.get("fieldManager", "")
    if len(manager) > _LONGEST_MANAGER or not manager.isprintable():
        fault = f"must be printable and no more than {_LONGEST_MANAGER} characters"
        raise bad_options(options, invalid("fieldManager", manager[:_LONGEST_MANAGER], fault))
    return WriteOptions(
        dry_run=_dry_run(query.get("dryRun"), options),
        field_validation=validation,
        manager=manager or _agent_name(user_agent),
        force=flag(query, "force"),
    )


def _agent_name(user_agent: str) -> str:
    name = user_agent.partition("/")[0].strip()[:_LONGEST_MANAGER]
    return name if name and name.isprintable() else "unknown"


def require_manager(query: Query) -> None:
    """Check that a server-side apply names its field manager. Raises Refusal (422)."""
    if not query.get("fieldManager"):
        raise bad_options("PatchOptions", required("fieldManager", "is required for apply patch"))


def _dry_run(given: Any, options: str) -> bool:
    wanted = given if isinstance(given, list) else [given] if given else []
    if any(value != "All" for value in wanted):
        raise bad_options(options, unsupported("dryRun", wanted, ("All",)))
    return bool(wanted)


_POLICIES = ("Foreground", "Background", "Orphan")


def parse_delete_options(query: Query, body: Json) -> DeleteOptions:
    """Parse the parameters of a delete; the body, a DeleteOptions object, wins over the query. Raises Refusal."""
    kind = body.get("kind", "DeleteOptions")
    if kind != "DeleteOptions":
        raise bad_request(f'no kind "{kind}" is registered for version "{body.get("apiVersion", "v1")}"')
    policy = body.get("propagationPolicy") or query.get("propagationPolicy")
    if policy is not None and policy not in _POLICIES:
        cause = unsupported("propagationPolicy", policy, (*_POLICIES, "nil"))
        raise bad_options("DeleteOptions", cause)
    preconditions = body.get("preconditions") or {}
    if not isinstance(preconditions, dict):
        raise bad_request("json: cannot unmarshal preconditions of DeleteOptions")
    grace = body.get("gracePeriodSeconds")
    if grace is None and "gracePeriodSeconds" in query:
        grace = _integer(query, "gracePeriodSeconds")
    if grace is not None and (not isinstance(grace, int) or grace < 0):
        raise bad_options(
            "DeleteOptions", invalid("gracePeriodSeconds", grace, "must be greater than or equal to 0")
        )
    return DeleteOptions(
        grace=grace,
        dry_run=_dry_run(body.get("dryRun") or query.get("dryRun"), "DeleteOptions"),
        uid=str(preconditions.get("uid") or ""),
        resource_version=str(preconditions.get("resourceVersion") or ""),
    )
