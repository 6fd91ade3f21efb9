"""Every field of kube-proxy's configuration file, and what becomes of it here.

Owns the table: used as which setting, or ignored because of what. Source: KubeProxyConfiguration v1alpha1 of Kubernetes 1.36
(staging/src/k8s.io/kube-proxy/config/v1alpha1/types.go, component-base's ClientConnectionConfiguration and
LoggingConfiguration). Reads no file (`documents` does) and touches nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from userproxy.setting import parse_seconds

API_VERSION = "kubeproxy.config.k8s.io/v1alpha1"
KIND = "KubeProxyConfiguration"


class Unused(str):
    """Why one value of a field that is used otherwise changes nothing."""

    __slots__ = ()


@dataclass(frozen=True)
class Used:
    """A field that sets one of our settings. `read` returns its value, None to leave the default, or Unused.

    It raises ValueError with what it wants instead.
    """

    setting: str
    read: Callable[[Any], Any]
    how: str = ""
    """what is different from a plain copy, for the documentation"""


@dataclass(frozen=True)
class Ignored:
    """A field that changes nothing here."""

    because: str


Field = Used | Ignored


def text(value: Any) -> str | None:
    """A text; empty, which kube-proxy's defaults replace, leaves our default."""
    if not isinstance(value, str):
        raise ValueError("a text")
    return value.strip() or None


def networks(value: Any) -> str | None:
    """A list of CIDRs, from a list or from one text with commas."""
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in items):
        raise ValueError("a list of networks such as 192.0.2.0/24")
    return ",".join(part.strip() for item in items for part in item.split(",") if part.strip()) or None


def truth(value: Any) -> bool:
    """A boolean, or the text of one as Go's flags take it."""
    if str(value) in ("True", "true", "False", "false"):
        return str(value).lower() == "true"
    raise ValueError("true or false")


def timeout(value: Any) -> float | None:
    """A duration such as 30s; 0, which leaves the kernel's value in kube-proxy, leaves our default."""
    try:
        return parse_seconds(str(value)) or None
    except ValueError:
        raise ValueError("a duration such as 30s or 2m") from None


def capture_of_mode(value: Any) -> str | Unused | None:
    """The capture that writes its rules where the mode of kube-proxy writes them."""
    mode = text(value)
    if mode in ("iptables", "nftables"):
        return "redirect-iptables" if mode == "iptables" else "redirect-nft"
    if mode == "ipvs":
        return Unused("there is no IPVS here, --capture decides")
    if mode is not None:
        raise ValueError("iptables, nftables, ipvs or nothing")
    return None


def balance_of_scheduler(value: Any) -> str | Unused | None:
    """The way of balancing that comes nearest to a scheduler of IPVS, without its weights."""
    scheduler = text(value)
    if scheduler is None:
        return None
    known = {"rr": "round-robin", "lc": "least-connections", "sh": "source-hash"}
    return known.get(scheduler.removeprefix("w"), Unused(f"nothing here is like the scheduler {scheduler}"))


def log_level(value: Any) -> str | None:
    """Verbosity 4 is what Kubernetes calls debug (sig-instrumentation/logging.md)."""
    try:
        number = int(str(value))
    except ValueError:
        raise ValueError("a number") from None
    return "debug" if number >= 4 else None


def local_mode(value: Any) -> Unused | None:
    """Only the mode that looks at source addresses has a counterpart."""
    mode = text(value)
    if mode in (None, "ClusterCIDR"):
        return None
    if mode not in ("NodeCIDR", "BridgeInterface", "InterfaceNamePrefix"):
        raise ValueError("ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix")
    return Unused("only ClusterCIDR is known here: --cluster-cidr")


_SYSCTL = "settings of the kernel's connection tracking are left to the host (sysctl.d)"
_NO_MARKS = "no packet is marked: connections end here and begin anew"
_MASQUERADE = "endpoints see an address of this node unless --transparent is given"
_SYNC = "changes are applied at once, and rules are looked at every 2 s"
_JSON = "objects are read as JSON, by two watches and seldom anything else"
_IPVS = "there is no IPVS here"
_WINDOWS = "Windows only"
_LOCAL = "only detectLocalMode ClusterCIDR is known here"
_LOGS = "one line for each event goes to standard error, unbuffered"

FIELDS: dict[str, Field] = {
    "featureGates": Ignored("no feature here has a gate"),
    "clientConnection.kubeconfig": Used("kubeconfig", text),
    "clientConnection.acceptContentTypes": Ignored(_JSON),
    "clientConnection.contentType": Ignored(_JSON),
    "clientConnection.qps": Ignored(_JSON),
    "clientConnection.burst": Ignored(_JSON),
    "logging.format": Used("log_format", text),
    "logging.flushFrequency": Ignored(_LOGS),
    "logging.verbosity": Used("log_level", log_level, "4 and more: debug"),
    "logging.vmodule": Ignored("log levels are for the whole program: logging.verbosity"),
    "logging.options.text.splitStream": Ignored(_LOGS),
    "logging.options.text.infoBufferSize": Ignored(_LOGS),
    "logging.options.json.splitStream": Ignored(_LOGS),
    "logging.options.json.infoBufferSize": Ignored(_LOGS),
    "hostnameOverride": Used("hostname_override", text),
    "bindAddress": Ignored("the Node object says which addresses this node has"),
    "healthzBindAddress": Used("healthz_bind_address", text, "empty: our default"),
    "metricsBindAddress": Used("metrics_bind_address", text, "empty: our default"),
    "bindAddressHardFail": Ignored("a health or metrics server that cannot listen always ends the program"),
    "enableProfiling": Ignored("there is no profiling endpoint"),
    "showHiddenMetricsForVersion": Ignored("no metric is hidden"),
    "mode": Used(
        "capture", capture_of_mode, "iptables: redirect-iptables, nftables: redirect-nft; ipvs: ignored"
    ),
    "iptables.masqueradeBit": Ignored(_NO_MARKS),
    "iptables.masqueradeAll": Ignored(_MASQUERADE),
    "iptables.localhostNodePorts": Used("localhost_nodeports", truth, "on ::1 too"),
    "iptables.snatNodeInternalIP": Ignored("the kernel's routes choose the address that endpoints see"),
    "iptables.syncPeriod": Ignored(_SYNC),
    "iptables.minSyncPeriod": Ignored(_SYNC),
    "ipvs.syncPeriod": Ignored(_SYNC),
    "ipvs.minSyncPeriod": Ignored(_SYNC),
    "ipvs.scheduler": Used(
        "balance",
        balance_of_scheduler,
        "in mode ipvs; rr: round-robin, lc: least-connections, sh: source-hash",
    ),
    "ipvs.excludeCIDRs": Ignored(_IPVS),
    "ipvs.strictARP": Ignored(_IPVS),
    "ipvs.tcpTimeout": Ignored("--tcp-keepalive finds dead peers, a living connection may be idle for ever"),
    "ipvs.tcpFinTimeout": Ignored("--half-close-timeout bounds what follows a FIN"),
    "ipvs.udpTimeout": Ignored("conntrack.udpTimeout and conntrack.udpStreamTimeout are what is used"),
    "nftables.masqueradeBit": Ignored(_NO_MARKS),
    "nftables.masqueradeAll": Ignored(_MASQUERADE),
    "nftables.syncPeriod": Ignored(_SYNC),
    "nftables.minSyncPeriod": Ignored(_SYNC),
    "winkernel.networkName": Ignored(_WINDOWS),
    "winkernel.sourceVip": Ignored(_WINDOWS),
    "winkernel.enableDSR": Ignored(_WINDOWS),
    "winkernel.rootHnsEndpointName": Ignored(_WINDOWS),
    "winkernel.forwardHealthCheckVip": Ignored(_WINDOWS),
    "detectLocalMode": Used(
        "cluster_cidr", local_mode, "ClusterCIDR; in any other mode clusterCIDR is not used, as in kube-proxy"
    ),
    "detectLocal.bridgeInterface": Ignored(_LOCAL),
    "detectLocal.interfaceNamePrefix": Ignored(_LOCAL),
    "clusterCIDR": Used("cluster_cidr", networks),
    "nodePortAddresses": Used("nodeport_addresses", networks),
    "oomScoreAdj": Ignored("the unit or the Pod decides: OOMScoreAdjust=, or the class system-node-critical"),
    "conntrack.maxPerCore": Ignored(_SYSCTL),
    "conntrack.min": Ignored(_SYSCTL),
    "conntrack.tcpEstablishedTimeout": Ignored(_SYSCTL),
    "conntrack.tcpCloseWaitTimeout": Ignored(_SYSCTL),
    "conntrack.tcpBeLiberal": Ignored(_SYSCTL),
    "conntrack.udpTimeout": Used("udp_timeout", timeout, "0: our default"),
    "conntrack.udpStreamTimeout": Used("udp_stream_timeout", timeout, "0: our default"),
    "configSyncPeriod": Ignored(
        "a watch that was interrupted lists again by itself; nothing is listed on a timer"
    ),
    "portRange": Ignored("kube-proxy does not use it either"),
    "windowsRunAsService": Ignored(_WINDOWS),
}
"""By the path of the field, in the order of types.go."""
