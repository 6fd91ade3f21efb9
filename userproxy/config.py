"""Every setting of userproxy: one frozen Config with the unit, default and reason of each field.

Owns names, defaults, documentation and checks of settings; how one is written down is `setting`'s. `cli` makes flags of the
fields (and USERPROXY_* variables), the reference page lists them. Touches nothing: no file, no socket, no environment.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from userproxy.core.affinity import MAX_CLIENTS
from userproxy.core.annotations import METHODS
from userproxy.core.node_ports import check_node_port_addresses
from userproxy.errors import UsageError
from userproxy.model import Balance
from userproxy.setting import (
    AGENT,
    API_CLIENT,
    ASKING,
    CAPTURING,
    CHECK,
    EVERY,
    RUN,
    STANDALONE,
    flag,
    setting,
)

CAPTURE_MODES = ("auto", "redirect", "redirect-nft", "redirect-iptables", "route", "loopback", "none")
LOG_FORMATS = ("text", "json")
MAX_EVENTS = 100_000
"""Some 60 MB in each process."""
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True)
class Config:
    """All settings, checked. Durations are seconds."""

    config: str = setting(
        "",
        "Configuration file: a KubeProxyConfiguration, a UserproxyConfiguration, or both as two YAML documents. Flags and "
        "environment win over it. run and standalone read it again when it changes and on SIGHUP.",
        commands=EVERY | CHECK,
        metavar="FILE",
    )
    kubeconfig: str = setting(
        "",
        "Kubeconfig file with the API server and credentials; without it and --master: the Pod's service account.",
        commands=API_CLIENT | CHECK,
        metavar="FILE",
    )
    master: str = setting(
        "",
        "URL of the API server; overrides the kubeconfig's. Use it when the API server's ClusterIP is served by this proxy.",
        commands=API_CLIENT | CHECK,
        metavar="URL",
    )
    hostname_override: str = setting(
        "",
        "Name of this Node; default: the host name in lower case. Decides which endpoints are local.",
        commands=AGENT | CHECK,
        metavar="NAME",
    )
    cluster_cidr: str = setting(
        "",
        "Networks of Pod addresses, separated by commas: Pods reach Services with externalTrafficPolicy Local as if it were "
        "Cluster, which without this only the host itself does.",
        commands=AGENT,
        live=True,
        metavar="CIDRS",
    )
    nodeport_addresses: str = setting(
        "primary",
        "Which of the host's addresses answer node ports: networks separated by commas, or primary for those of the Node "
        "object; a family with none named answers on all.",
        commands=AGENT,
        live=True,
        metavar="CIDRS",
    )
    localhost_nodeports: bool = setting(
        True, "Answer node ports on 127.0.0.1 and ::1 too.", commands=AGENT, live=True
    )
    service_proxy_name: str = setting(
        "",
        "Serve only Services labelled service.kubernetes.io/service-proxy-name=NAME (beside kube-proxy); "
        "default: only Services without that label.",
        commands=RUN,
        metavar="NAME",
    )
    capture: str = setting(
        "auto",
        "How packets for a ClusterIP reach us: redirect (nftables, else iptables), route (local routes, no netfilter), "
        "loopback (a 127.x address for each Service, no privilege), none. auto takes the first whose probe succeeds.",
        commands=AGENT | CHECK,
        choices=CAPTURE_MODES,
    )
    sidecar: bool = setting(
        False,
        "Run in a Pod's network namespace: only its own traffic is captured, listeners are on 127.0.0.1 and ::1.",
        commands=AGENT | CHECK,
    )
    transparent: str = setting(
        "off",
        "Let endpoints see the client's own address as the source of connections: off, annotated (Services with annotation "
        "userproxy.dev/transparent), all. Needs nftables and CAP_NET_ADMIN, and leaves CAP_NET_RAW to the workers; see the "
        "limits in the reference.",
        commands=AGENT,
        choices=("off", "annotated", "all"),
    )
    proxy_address: str = setting(
        "169.254.77.1",
        "IPv4 address on lo where redirected connections arrive; link-local, so it is never routed off the node.",
        commands=CAPTURING | CHECK,
        metavar="IP",
    )
    proxy_address_ipv6: str = setting(
        "fd77:7573:6572::1",
        "The same for IPv6, from the unique local range (RFC 4193).",
        commands=CAPTURING | CHECK,
        metavar="IP",
    )
    no_endpoints: str = setting(
        "drop",
        "What a client meets while a Service has no usable endpoint: drop (silence, so it connects when a Pod becomes "
        "ready) or reject (connection refused, as kube-proxy). A Service overrides it by annotation "
        "userproxy.dev/no-endpoints.",
        commands=AGENT,
        live=True,
        choices=("drop", "reject"),
    )
    half_close_timeout: float = setting(
        300.0,
        "After one side has ended, the connection is reset when the other moves no byte for this long; "
        "else a mute peer would hold it for ever.",
        commands=AGENT,
        seconds=True,
    )
    tcp_keepalive: float = setting(
        60.0, "Idle time before TCP keepalive probes, on both sides.", commands=AGENT, seconds=True
    )
    tcp_user_timeout: float = setting(
        300.0,
        "How long sent data may stay unacknowledged, or a peer's window shut, before it counts as dead (TCP_USER_TIMEOUT).",
        commands=AGENT,
        seconds=True,
    )
    workers: str = setting(
        "auto",
        "Processes that accept and relay: a number, auto (one for each usable core, at most 8), or 0 for none of its own "
        "(sidecar); standalone: 0.",
        commands=AGENT,
        metavar="N|auto",
    )
    max_connections: int = setting(
        0,
        "Connections open at once in each worker; 0: what the descriptor limit allows.",
        commands=AGENT,
        metavar="N",
    )
    balance: str = setting(
        Balance.ROUND_ROBIN.value,
        "How the endpoint of a new connection is chosen: in turn, the one with the fewest open connections (of a worker), the "
        "better of two drawn at random, or by the client's address. Session affinity (spec.sessionAffinity) goes before it. "
        "A Service overrides it by annotation userproxy.dev/balance.",
        commands=AGENT,
        live=True,
        choices=METHODS,
    )
    eject: int = setting(
        0,
        "After so many failed dials in a row an endpoint rests for a while (passive ejection); 0: never, as with kube-proxy. "
        "A Service overrides it by annotation userproxy.dev/eject.",
        commands=AGENT,
        live=True,
        metavar="N",
    )
    affinity_clients: int = setting(
        MAX_CLIENTS,
        "Clients that session affinity remembers in each process, over all Services; beyond it those not seen for the longest "
        "time are forgotten. 100,000 take 20 MiB.",
        commands=AGENT,
        metavar="N",
    )
    udp_timeout: float = setting(
        30.0,
        "How long a UDP flow without answers, or one that is over within two seconds, is kept without a datagram "
        "(conntrack's nf_conntrack_udp_timeout).",
        commands=AGENT,
        seconds=True,
    )
    udp_stream_timeout: float = setting(
        120.0,
        "The same for a UDP flow that is still answered after two seconds (nf_conntrack_udp_timeout_stream).",
        commands=AGENT,
        seconds=True,
    )
    udp_max_flows: int = setting(
        0,
        "UDP flows at once in each worker, above which an old one ends for each new one; 0: 32768, or less where "
        "descriptors are few; all workers together take half of ip_local_port_range at most, as each flow needs a port.",
        commands=AGENT,
        metavar="N",
    )
    drain_timeout: float = setting(
        10.0,
        "At the end (SIGTERM), how long open connections may finish; a second signal ends at once.",
        commands=AGENT,
        live=True,
        seconds=True,
    )
    keep_capture: bool = setting(
        False,
        "Leave redirects and routes in place at the end, for a quick restart; connections are refused meanwhile.",
        commands=AGENT,
        live=True,
    )
    healthz_bind_address: str = setting(
        "0.0.0.0:10256",
        "Where /healthz, /livez and /readyz answer; standalone: 127.0.0.1:10256. Empty: nowhere.",
        commands=AGENT | CHECK,
        metavar="IP:PORT",
    )
    metrics_bind_address: str = setting(
        "127.0.0.1:10249",
        "Where /metrics, /proxyMode and /status answer. Empty: nowhere.",
        commands=AGENT | CHECK,
        metavar="IP:PORT",
    )
    live_page: str = setting(
        "auto",
        "Whether the metrics server shows the live page (/) and /events too, which name clients; auto: on a loopback "
        "address only.",
        commands=AGENT,
        choices=("auto", "on", "off"),
    )
    observe_events: int = setting(
        2000,
        "Records of connections and changes kept for userproxy observe and the live page, here and in each worker; "
        "0: none.",
        commands=AGENT,
        metavar="N",
    )
    api_bind_address: str = setting(
        "127.0.0.1:8001",
        "Where the standalone API server answers, or unix:/path for a socket (then also at a free loopback port).",
        commands=STANDALONE,
        metavar="IP:PORT",
    )
    api_tls: bool = setting(
        True,
        "Speak HTTPS with a generated certificate, which the kubeconfig names. --no-api-tls: plain HTTP, for curl and "
        "--master without credentials.",
        commands=STANDALONE,
    )
    api_token: str = setting(
        "auto",
        "Whether requests must show the random token of the kubeconfig; auto: over HTTPS and on a unix socket, "
        "not over plain HTTP, where whoever reaches the port may change every Service (kubectl sends a token over HTTPS only).",
        commands=STANDALONE,
        choices=("auto", "required", "none"),
    )
    data_dir: str = setting(
        ":memory:",
        "Directory where the objects are kept from run to run, with token, certificate and kubeconfig; "
        ":memory: forgets everything at the end.",
        commands=STANDALONE,
        metavar="DIR",
    )
    manifests: str = setting(
        "",
        "Directory of YAML files that are applied, watched and pruned.",
        commands=STANDALONE,
        metavar="DIR",
    )
    demo: bool = setting(False, "Start three demo Pods behind the Service my-service.", commands=STANDALONE)
    service_cidr: str = setting(
        "10.96.0.0/16", "Range that ClusterIPs are taken from.", commands=STANDALONE, metavar="CIDR"
    )
    agent: str = setting(
        "127.0.0.1:10249",
        "The running agent to ask: its --metrics-bind-address.",
        commands=ASKING,
        metavar="IP:PORT",
    )
    log_level: str = setting(
        "info", "What is logged to standard error.", commands=EVERY, live=True, choices=LOG_LEVELS
    )
    log_format: str = setting(
        "text",
        "How it is logged: text for people (in colours on a terminal unless NO_COLOR is set), or one JSON object for each "
        "line with time, level, message and fields such as service, endpoint, resource.",
        commands=EVERY,
        live=True,
        choices=LOG_FORMATS,
    )

    def __post_init__(self) -> None:
        _check_ip(self.proxy_address, "--proxy-address", 4)
        _check_ip(self.proxy_address_ipv6, "--proxy-address-ipv6", 6)
        _check_network(self.service_cidr, "--service-cidr")
        if self.master and urlsplit(self.master).scheme not in ("http", "https"):
            raise UsageError(
                f"--master: {self.master!r} is not a URL of an API server; write http://HOST:PORT or https://HOST:PORT"
            )
        check_node_port_addresses(self.node_port_addresses)
        for network in self.pod_networks:
            _check_network(network, "--cluster-cidr")
        if self.workers != "auto" and not re.fullmatch(r"[0-9]{1,3}", self.workers):
            raise UsageError(f"--workers: {self.workers!r} is neither a number nor auto")
        if not self.data_dir:
            raise UsageError("--data-dir: give a directory, or :memory: to keep nothing")
        if self.demo and self.data_path is not None:
            raise UsageError("--demo is for throw-away use and keeps nothing; leave out --demo or --data-dir")
        if self.max_connections < 0:
            raise UsageError(
                "--max-connections: a number of connections cannot be negative; 0 means no own limit"
            )
        if not 0 <= self.eject <= 999_999:
            raise UsageError("--eject: give a number of failed dials such as 3, or 0 for never")
        if self.affinity_clients < 1:
            raise UsageError("--affinity-clients: at least one client must be remembered")
        if not 0 <= self.observe_events <= MAX_EVENTS:
            raise UsageError(f"--observe-events: {self.observe_events} is not between 0 and {MAX_EVENTS}")
        if self.udp_max_flows < 0:
            raise UsageError("--udp-max-flows: a number of flows cannot be negative; 0 means what fits")
        timeouts = (
            "half_close_timeout",
            "tcp_keepalive",
            "tcp_user_timeout",
            "udp_timeout",
            "udp_stream_timeout",
        )
        for name in timeouts:
            if getattr(self, name) <= 0:
                raise UsageError(f"{flag(name)}: must be more than 0 seconds")

    @property
    def pod_networks(self) -> tuple[str, ...]:
        """Where Pods have their addresses."""
        return _parts(self.cluster_cidr)

    @property
    def node_port_addresses(self) -> tuple[str, ...]:
        """What --nodeport-addresses names."""
        return _parts(self.nodeport_addresses)

    @property
    def data_path(self) -> Path | None:
        """The data directory, None for a store in memory."""
        return None if self.data_dir == ":memory:" else Path(self.data_dir)

    @property
    def manifests_path(self) -> Path | None:
        """The manifests directory, None when there is none."""
        return Path(self.manifests) if self.manifests else None


def settings_of(command: str) -> list[dataclasses.Field[Any]]:
    """Return the fields that `command` has a flag for, in the order of Config."""
    return [field for field in dataclasses.fields(Config) if command in field.metadata["commands"]]


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _check_ip(text: str, name: str, version: int) -> None:
    try:
        valid = ipaddress.ip_address(text).version == version
    except ValueError:
        valid = False
    if not valid:
        raise UsageError(f"{name}: {text!r} is not an IPv{version} address")


def _check_network(text: str, name: str) -> None:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise UsageError(f"{name}: {error}; write a network such as 10.96.0.0/16") from None
