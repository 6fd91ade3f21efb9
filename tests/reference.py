"""The reference page, made from the code: python3 -m tests.reference > deploy/reference.md

Owns its layout only; every word of it is that of the settings, annotations, metrics and errors themselves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import click

from userproxy.admin.metric_table import METRICS
from userproxy.cli import CONTEXT, cli
from userproxy.cli.options import STANDALONE_DEFAULTS
from userproxy.config import Config
from userproxy.configfile import kube_proxy_fields, own_fields
from userproxy.configfile.kube_proxy_flags import FIELD_OF_FLAG, OWN, REFUSED
from userproxy.core.annotations import KNOWN
from userproxy.core.events import VERDICTS
from userproxy.core.findings import CHECKS, anchor
from userproxy.setting import flag

ENDPOINTS = {
    "`--healthz-bind-address` `/healthz`": "200 while changes are applied in time and the Node "
    "is not leaving, else 503; JSON as kube-proxy",
    "`--healthz-bind-address` `/livez`": "the same without the Node: for the liveness probe",
    "`--healthz-bind-address` `/readyz`": "200 once Services were listed, captured and listened for, "
    "and until the stop begins; else 503 and why",
    "`--metrics-bind-address` `/metrics`": "Prometheus text or OpenMetrics",
    "`--metrics-bind-address` `/proxyMode`": "the capture in use",
    "`--metrics-bind-address` `/status`": "JSON: capture and every probe's answer, watches and their age, "
    "Services with frontends, listeners, endpoints, counters",
    "`--metrics-bind-address` `/`": "the live page, for browsers; see --live-page",
    "`--metrics-bind-address` `/live`": "what the live page and `userproxy top` show, a snapshot a second: JSON lines, or "
    "server-sent events, with events in between; parameters search, sort, page, open (namespace/name); see --live-page",
    "`--metrics-bind-address` `/events`": "what happened to connections and endpoints, for `userproxy observe`: JSON lines, or "
    "server-sent events for who accepts them; parameters follow, last, since (seconds), namespace, service, endpoint, client, "
    "verdict; see --live-page",
    "`--metrics-bind-address` `/explain`": "JSON: why traffic for `?target=` (an address or svc/NAME) goes where it goes, "
    "for a client at `&from=`",
    "`--metrics-bind-address` `/connections`": "JSON: the newest 1,000 open connections, of `?namespace=` and `&service=`",
    "`--metrics-bind-address` `/healthz`": "always ok: the server answers",
}

TRANSPARENT = """## Transparent mode

With `--transparent annotated` (or `all`) endpoints see the client's own address as the source of TCP connections, with another
port number. It is kept where kube-proxy keeps it too, because there answers come back by this node:

| client | endpoints see |
|---|---|
| a Pod of this node, by ClusterIP | the Pod |
| from outside, by node port, external or load-balancer IP, with `externalTrafficPolicy: Local` | the client |
| the same with `externalTrafficPolicy: Cluster`, or a Pod or the node itself in such a frontend's short-circuit | this node |
| this node itself | this node |
| the endpoint itself (hairpin), and any client of an endpoint that has an address of this node (`hostNetwork`) | this node |

How: a dial binds the client's address (IP_TRANSPARENT). The table `inet userproxy-transparent` marks the answers
(`socket transparent`, mark bit 0x1000), and rules 76 and 77 with routing table 7077 deliver marked packets here; all of it
is restored when it is lost, and removed at the end and by `userproxy cleanup`. It works beside every capture but
`loopback`, and not with `--sidecar`.

Needs CAP_NET_ADMIN and nftables with `socket` (kernel module nft_socket), also for `--capture route`. Workers keep
CAP_NET_RAW, and nothing else, for IP_TRANSPARENT: a worker that is taken over could then forge and read packets of
the node. The firewall of the host must let answers of established connections in, and must not masquerade connections
from Pods to Pods. The probe tries each of these parts of the kernel, but sends no packet. Tested with Pods on veth
pairs, with and without addresses on the node's end, IPv4 and IPv6, and with an endpoint on another node behind plain
routes; overlay networks were not at hand.""".splitlines()

OBSERVE = """\
One event for each connection, at its end (and while somebody follows, when it is a second old and goes on), and one for
each change of endpoints, of what clients meet without any, of the capture and of workers. While a Service port has no
usable endpoint its connections are dropped or refused in the kernel: they never reach this proxy and make no event, so
the change to `drop` or `reject` is the event. For UDP it is one event for each flow, when it was idle or its endpoint
refused it.

Each worker keeps the last `--observe-events` records, and as many of connections that failed or were retried. Above 1,000
a second it keeps one in n, which says `1 of n`. A record costs about 2 µs when a connection ends and no system call; it
goes to the control process only while somebody follows or looks at the live page. Whoever reads too slowly is told how
many events were lost (`userproxy_events_lost_total`).""".splitlines()

EXIT_CODES = {
    0: "ended as asked (a signal, or the work is done)",
    1: "failed: one line says what, why and what to do",
    2: "wrong usage",
}


def observe_lines() -> Iterator[str]:
    """Yield what `userproxy observe` shows and what it costs."""
    yield "## What `userproxy observe` shows"
    yield ""
    yield from OBSERVE
    yield ""
    yield "| `--verdict` | |"
    yield "|---|---|"
    yield from (f"| `{word}` | {text} |" for word, text in VERDICTS.items())
    yield ""


def lines() -> Iterator[str]:
    """Yield the lines of the page."""
    yield "# Reference"
    yield ""
    yield "Made from the code by `python3 -m tests.reference > deploy/reference.md`; a test keeps them equal."
    yield ""
    yield from command_lines()
    yield "## Settings"
    yield ""
    yield "Each is a flag of the commands named, and an environment variable: `userproxy run --capture` is"
    yield "`USERPROXY_RUN_CAPTURE`. Durations: `90`, `1.5s`, `250ms`, `5m`, `1h30m`."
    yield ""
    yield "| flag | default | commands | |"
    yield "|---|---|---|---|"
    for field in dataclasses.fields(Config):
        commands = ", ".join(sorted(field.metadata["commands"]))
        yield f"| `{flag(field.name)}` | {default_of(field)} | {commands} | {field.metadata['text']}{choices_of(field)} |"
    yield ""
    yield from configuration_file()
    yield ""
    yield "## Annotations of a Service"
    yield ""
    yield "| annotation | |"
    yield "|---|---|"
    yield from (f"| `{name}` | {text} |" for name, text in sorted(KNOWN.items()))
    yield ""
    yield from TRANSPARENT
    yield ""
    yield from observe_lines()
    yield "## HTTP endpoints"
    yield ""
    yield "| where | |"
    yield "|---|---|"
    yield from (f"| {where} | {text} |" for where, text in ENDPOINTS.items())
    yield ""
    yield "## Metrics"
    yield ""
    yield "Beside these, the usual `process_*` metrics. A Service port's series begin with its first connection."
    yield ""
    yield "| metric | type | labels | |"
    yield "|---|---|---|---|"
    for metric in METRICS:
        yield f"| `{metric.name}` | {metric.type} | {', '.join(metric.labels)} | {metric.help} |"
    yield ""
    yield "## What `userproxy check` looks at"
    yield ""
    yield "`--only` and `--skip` take a category or a name; `--pre` leaves out `api` and `agent`."
    yield ""
    yield "| check | |"
    yield "|---|---|"
    yield from (f'| <a id="{anchor(name)}"></a>`{name}` | {text} |' for name, text in CHECKS.items())
    yield ""
    yield "## Exit codes"
    yield ""
    yield "| code | |"
    yield "|---|---|"
    yield from (f"| {code} | {text} |" for code, text in EXIT_CODES.items())


def configuration_file() -> Iterator[str]:
    """Yield what may stand in the file of --config, and the flags of kube-proxy."""
    yield "## Configuration file"
    yield ""
    yield "`--config FILE` takes YAML or JSON: a document of kind `UserproxyConfiguration`"
    yield f"(`apiVersion: {own_fields.API_VERSION}`), one of kube-proxy's kind `KubeProxyConfiguration`"
    yield f"(`apiVersion: {kube_proxy_fields.API_VERSION}`), or both; where both set the same, ours wins."
    yield "A flag wins over its environment variable, that over the file, that over the default (kube-proxy lets the file win"
    yield "over nearly every flag). A field that does not exist is an error; fields of KubeProxyConfiguration that mean nothing"
    yield "here are named in one line of the log."
    yield ""
    yield "The file is read again when it changes and on SIGHUP: fields called live take effect at once, of the others the log"
    yield "says that they wait for a restart; a file with an error changes nothing. Without `--config` SIGHUP ends the program"
    yield "as SIGTERM does."
    yield ""
    yield "### UserproxyConfiguration"
    yield ""
    live = sorted(name for name, field in own_fields.SETTINGS.items() if field.metadata["live"])
    yield f"Every flag but `--config`, as a field: `--half-close-timeout` is `halfCloseTimeout`. Live: {code(live)}."
    yield ""
    yield "### KubeProxyConfiguration"
    yield ""
    yield "| field | flag of kube-proxy | here |"
    yield "|---|---|---|"
    flags = {path: name for name, path in FIELD_OF_FLAG.items()}
    same = {"nodePortAddresses": "nodeport-addresses", "clusterCIDR": "cluster-cidr"}
    for path in kube_proxy_fields.FIELDS:
        field = kube_proxy_fields.FIELDS[path]
        name = flags.get(path) or same.get(path, "")
        if isinstance(field, kube_proxy_fields.Used):
            name = name or (flag(field.setting)[2:] if flag(field.setting)[2:] in OWN else "")
            here = f"`{flag(field.setting)}`" + (f" ({field.how})" if field.how else "")
        else:
            here = f"ignored: {field.because}"
        yield f"| `{path}` | {f'`--{name}`' if name else ''} | {here} |"
    yield ""
    yield "Refused, since ignoring them would start what nobody asked for:"
    yield ""
    yield from (f"- `--{name}` {why}" for name, why in REFUSED.items())


def code(names: Iterable[str]) -> str:
    """Return names as code, with commas."""
    return ", ".join(f"`{name}`" for name in names)


def command_lines() -> Iterator[str]:
    """Yield the lines about commands."""
    yield "## Commands"
    yield ""
    yield "Each also has the settings below that name it; `userproxy COMMAND --help` has examples."
    yield ""
    yield "| command | |"
    yield "|---|---|"
    yield from (f"| `{usage_of(one)}` | {summary_of(one)} |" for one in cli.commands.values())
    yield ""


def usage_of(command: click.Command) -> str:
    """Return a command with its arguments and the options that are its own."""
    settings = {field.name for field in dataclasses.fields(Config)}
    words = ["userproxy", command.name or ""]
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            words.append(parameter.make_metavar(click.Context(command, **CONTEXT)))
        elif isinstance(parameter, click.Option) and parameter.name not in settings and not parameter.hidden:
            words.append(f"[{'/'.join(parameter.opts)}{_value(parameter)}]")
    # A bar would end the cell of the table.
    return " ".join(words).replace("|", "\\|")


def _value(option: click.Option) -> str:
    if option.is_flag:
        return ""
    return " " + (
        "|".join(option.type.choices) if isinstance(option.type, click.Choice) else option.metavar or "N"
    )


def summary_of(command: click.Command) -> str:
    """Return the first paragraph of a command's help."""
    return " ".join((command.help or "").partition("\n\n")[0].split())


def default_of(field: dataclasses.Field[Any]) -> str:
    """Return the default as people write it."""
    value = field.default
    text = "none" if value == "" else f"{value:g} s" if field.metadata["seconds"] else str(value).lower()
    other = STANDALONE_DEFAULTS.get(field.name)
    return f"{text} (standalone: {other})" if other else text


def choices_of(field: dataclasses.Field[Any]) -> str:
    """Return the accepted words, when only some are."""
    choices = field.metadata["choices"]
    return f" One of {', '.join(choices)}." if choices else ""


if __name__ == "__main__":
    print("\n".join(lines()))
