"""`userproxy observe`: what happens to connections, live or kept, from a running agent or a file.

Parses and prints. Events are the agent's (`/events`); their one-line text and the filters are `core`'s.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click
import msgspec

from userproxy.cli.options import Seconds, config_options, errors_for_people, output_option
from userproxy.core.event_filter import make_filter
from userproxy.core.events import VERDICTS, ConnectionEvent, Event, decode_event, event_line
from userproxy.errors import AgentError, UsageError
from userproxy.logs import colour_wanted

_COLOURS = {
    "refused": "red",
    "reset": "yellow",
    "drop": "red",
    "reject": "red",
    "carry": "green",
    "opened": "green",
    "closed": None,
}
DEFAULT_LAST = 20


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with events as they come, until Ctrl-C.")
@click.option("-n", "--namespace", default="", metavar="NAME", help="Only Services of this namespace.")
@click.option("--service", multiple=True, metavar="[NS/]NAME[:PORT]", help="Only this Service.")
@click.option(
    "--endpoint",
    multiple=True,
    metavar="IP[:PORT]",
    help="Only this endpoint or network, also where it was tried in vain.",
)
@click.option(
    "--client", multiple=True, metavar="IP[:PORT]", help="Only connections of this client or network."
)
@click.option("--verdict", multiple=True, metavar="WORD", help=f"Only these: {', '.join(VERDICTS)}.")
@click.option("--since", type=Seconds(), metavar="DURATION", help="Only events of the last 5m, say.")
@click.option(
    "--last",
    type=click.IntRange(0),
    metavar="N",
    help=f"At most so many past events; default: {DEFAULT_LAST}, with --since and --from all.",
)
@output_option("compact", "json", text="json: one event a line, which --from reads.")
@click.option(
    "--from",
    "source",
    type=click.Path(dir_okay=False, allow_dash=True),
    metavar="FILE|-",
    help="Read events of `-o json` from a file or standard input.",
)
@config_options("observe")
@errors_for_people
def observe(follow: bool, source: str | None, output: str, last: int | None, **values: Any) -> int:
    """Show connections as they end: client, Service port, endpoint, bytes, time, and why where one failed.

    A connection that lives longer than a second is shown when it is opened too, while somebody follows. What the kernel drops
    or refuses for want of endpoints never reaches this proxy: the change to that verdict is shown instead.

    \b
    Examples:
      userproxy observe -f
      userproxy observe -f --service web --verdict refused --verdict retried
      userproxy observe --since 10m --client 10.244.1.0/24 -o json > events
      userproxy observe --from events --verdict reset
    """
    agent = values.pop("agent")
    seconds = values.pop("since")
    if source is not None and follow:
        raise UsageError("--from reads a file to its end; leave out --follow")
    wanted = make_filter(
        namespace=values["namespace"],
        services=values["service"],
        endpoints=values["endpoint"],
        clients=values["client"],
        verdicts=values["verdict"],
        since=None if seconds is None else datetime.now(UTC) - timedelta(seconds=seconds),
    )
    if source is None:
        if last is None and seconds is None:
            last = DEFAULT_LAST
        events = _of_agent(agent, _query(values, seconds, last, follow), follow)
    else:
        events = (event for event in _of_file(source) if wanted.matches(event))
        if last is not None:
            events = iter(list(events)[-last:] if last else [])
    return _print(events, output)


def _print(events: Iterable[Event], output: str) -> int:
    colour = colour_wanted(sys.stdout)
    try:
        for event in events:
            if output == "json":
                line = msgspec.json.encode(event).decode()
            else:
                line = event_line(event)
                if colour:
                    line = _coloured(line, event)
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read this has enough (`| head`); what Python still has to flush at the end must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _coloured(line: str, event: Event) -> str:
    word = getattr(event, "verdict", "")
    if isinstance(event, ConnectionEvent) and event.failed and word == "closed":
        return click.style(line, fg="yellow")
    colour = _COLOURS.get(word)
    return click.style(line, fg=colour) if colour else line


def _query(values: dict[str, Any], since: float | None, last: int | None, follow: bool) -> str:
    pairs = [("follow", "true")] if follow else []
    pairs += [(name, str(value)) for name, value in (("since", since), ("last", last)) if value is not None]
    if values["namespace"]:
        pairs.append(("namespace", values["namespace"]))
    pairs += [(name, one) for name in ("service", "endpoint", "client", "verdict") for one in values[name]]
    return f"/events?{urlencode(pairs)}"


def _of_agent(address: str, path: str, follow: bool) -> Iterator[Event]:
    from userproxy.admin.client import AgentClient

    for line in AgentClient(address).lines(path):
        yield _decoded(line, "the agent")
    if follow:
        raise AgentError("the agent ended; nothing more can be followed")


def _of_file(source: str) -> Iterator[Event]:
    name = "standard input" if source == "-" else source
    try:
        with sys.stdin.buffer if source == "-" else Path(source).open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _decoded(line, f"{name}, line {number}")
    except OSError as error:
        raise UsageError(f"--from: {source}: {os.strerror(error.errno or 0)}") from error


def _decoded(line: bytes, where: str) -> Event:
    try:
        return decode_event(line)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise UsageError(f"{where}: no event of `userproxy observe -o json`: {error}") from error
