"""Settings of what happens to packets and connections: capture, workers, balancing, limits, times, the stop.

Owns these fields; `config` joins them with the others and checks them.
"""

from __future__ import annotations

from dataclasses import dataclass

from userproxy.config.checks import above_zero, address, within, workers
from userproxy.core.affinity import MAX_CLIENTS
from userproxy.core.annotations import METHODS
from userproxy.model import Balance
from userproxy.setting import AGENT, CAPTURING, CHECK, setting

CAPTURE_MODES = ("auto", "redirect", "redirect-nft", "redirect-iptables", "route", "loopback", "none")


@dataclass(frozen=True, init=False, repr=False, eq=False)  # only Config is made
class Traffic:
    """Capture and the data plane."""

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
        check=address(4),
    )
    proxy_address_ipv6: str = setting(
        "fd77:7573:6572::1",
        "The same for IPv6, from the unique local range (RFC 4193).",
        commands=CAPTURING | CHECK,
        metavar="IP",
        check=address(6),
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
        check=above_zero,
    )
    tcp_keepalive: float = setting(
        60.0,
        "Idle time before TCP keepalive probes, on both sides.",
        commands=AGENT,
        seconds=True,
        check=above_zero,
    )
    tcp_user_timeout: float = setting(
        300.0,
        "How long sent data may stay unacknowledged, or a peer's window shut, before it counts as dead (TCP_USER_TIMEOUT).",
        commands=AGENT,
        seconds=True,
        check=above_zero,
    )
    workers: str = setting(
        "auto",
        "Processes that accept and relay: a number, auto (one for each usable core, at most 8), or 0 for none of its own "
        "(sidecar); standalone: 0.",
        commands=AGENT,
        metavar="N|auto",
        check=workers,
    )
    max_connections: int = setting(
        0,
        "Connections open at once in each worker; 0: what the descriptor limit allows.",
        commands=AGENT,
        metavar="N",
        check=within(0, says="0 means no own limit"),
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
        check=within(0, 999_999, says="give a number of failed dials such as 3, or 0 for never"),
    )
    affinity_clients: int = setting(
        MAX_CLIENTS,
        "Clients that session affinity remembers in each process, over all Services; beyond it those not seen for the longest "
        "time are forgotten. 100,000 take 20 MiB.",
        commands=AGENT,
        metavar="N",
        check=within(1, says="at least one client must be remembered"),
    )
    udp_timeout: float = setting(
        30.0,
        "How long a UDP flow without answers, or one that is over within two seconds, is kept without a datagram "
        "(conntrack's nf_conntrack_udp_timeout).",
        commands=AGENT,
        seconds=True,
        check=above_zero,
    )
    udp_stream_timeout: float = setting(
        120.0,
        "The same for a UDP flow that is still answered after two seconds (nf_conntrack_udp_timeout_stream).",
        commands=AGENT,
        seconds=True,
        check=above_zero,
    )
    udp_max_flows: int = setting(
        0,
        "UDP flows at once in each worker, above which an old one ends for each new one; 0: 32768, or less where "
        "descriptors are few; all workers together take half of ip_local_port_range at most, as each flow needs a port.",
        commands=AGENT,
        metavar="N",
        check=within(0, says="0 means what fits"),
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
