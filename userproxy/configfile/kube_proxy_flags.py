"""Every flag of kube-proxy, so that its command line can be taken over as it is.

Owns the table from flags to fields of the configuration file (`kube_proxy_fields` says what becomes of them), and the flags
that ask for another program. Source: cmd/kube-proxy/app/options.go and component-base/logs/api/v1/options.go, 1.36. Flags
that we have under the same name and with the same meaning are in OWN.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from userproxy.configfile.kube_proxy_fields import FIELDS, Ignored, Unused
from userproxy.errors import UsageError

OWN = frozenset(
    {
        "config",
        "kubeconfig",
        "master",
        "hostname-override",
        "healthz-bind-address",
        "metrics-bind-address",
        "cluster-cidr",
        "nodeport-addresses",
    }
)

FIELD_OF_FLAG: dict[str, str] = {
    "bind-address": "bindAddress",
    "bind-address-hard-fail": "bindAddressHardFail",
    "config-sync-period": "configSyncPeriod",
    "conntrack-max-per-core": "conntrack.maxPerCore",
    "conntrack-min": "conntrack.min",
    "conntrack-tcp-be-liberal": "conntrack.tcpBeLiberal",
    "conntrack-tcp-timeout-close-wait": "conntrack.tcpCloseWaitTimeout",
    "conntrack-tcp-timeout-established": "conntrack.tcpEstablishedTimeout",
    "conntrack-udp-timeout": "conntrack.udpTimeout",
    "conntrack-udp-timeout-stream": "conntrack.udpStreamTimeout",
    "detect-local-mode": "detectLocalMode",
    "feature-gates": "featureGates",
    "iptables-localhost-nodeports": "iptables.localhostNodePorts",
    "iptables-masquerade-bit": "iptables.masqueradeBit",
    "iptables-min-sync-period": "iptables.minSyncPeriod",
    "iptables-sync-period": "iptables.syncPeriod",
    "ipvs-exclude-cidrs": "ipvs.excludeCIDRs",
    "ipvs-min-sync-period": "ipvs.minSyncPeriod",
    "ipvs-scheduler": "ipvs.scheduler",
    "ipvs-strict-arp": "ipvs.strictARP",
    "ipvs-sync-period": "ipvs.syncPeriod",
    "ipvs-tcp-timeout": "ipvs.tcpTimeout",
    "ipvs-tcpfin-timeout": "ipvs.tcpFinTimeout",
    "ipvs-udp-timeout": "ipvs.udpTimeout",
    "kube-api-burst": "clientConnection.burst",
    "kube-api-content-type": "clientConnection.contentType",
    "kube-api-qps": "clientConnection.qps",
    "log-flush-frequency": "logging.flushFrequency",
    "log-json-info-buffer-size": "logging.options.json.infoBufferSize",
    "log-json-split-stream": "logging.options.json.splitStream",
    "log-text-info-buffer-size": "logging.options.text.infoBufferSize",
    "log-text-split-stream": "logging.options.text.splitStream",
    "logging-format": "logging.format",
    "masquerade-all": "iptables.masqueradeAll",
    "oom-score-adj": "oomScoreAdj",
    "pod-bridge-interface": "detectLocal.bridgeInterface",
    "pod-interface-name-prefix": "detectLocal.interfaceNamePrefix",
    "profiling": "enableProfiling",
    "proxy-mode": "mode",
    "show-hidden-metrics-for-version": "showHiddenMetricsForVersion",
    "v": "logging.verbosity",
    "vmodule": "logging.vmodule",
}

REFUSED: dict[str, str] = {
    "cleanup": "is a command here: userproxy cleanup",
    "init-only": "has no counterpart: nothing needs to be prepared with more privileges than the program runs with",
    "write-config-to": "has no counterpart: userproxy run --help shows every setting with its default",
    "healthz-port": "was deprecated by kube-proxy: write --healthz-bind-address 0.0.0.0:PORT, or '' for no server",
    "metrics-port": "was deprecated by kube-proxy: write --metrics-bind-address 127.0.0.1:PORT, or '' for no server",
}
"""Flags that ask for something else than running; ignoring them would start what nobody asked for."""

BOOLEAN = frozenset(
    {
        "bind-address-hard-fail",
        "cleanup",
        "conntrack-tcp-be-liberal",
        "init-only",
        "iptables-localhost-nodeports",
        "ipvs-strict-arp",
        "log-json-split-stream",
        "log-text-split-stream",
        "masquerade-all",
        "profiling",
    }
)
"""Flags that may stand without a value."""


def read_flags(given: Mapping[str, str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the settings that flags of kube-proxy ask for, and a line for each flag that changes nothing.

    Raises UsageError for a flag that cannot be ignored, or a value that means nothing.
    """
    values: dict[str, Any] = {}
    notes: list[str] = []
    for flag, value in given.items():
        if flag in REFUSED:
            if flag in BOOLEAN and value == "false":
                continue
            raise UsageError(f"--{flag} {REFUSED[flag]}")
        use = FIELDS[FIELD_OF_FLAG[flag]]
        if isinstance(use, Ignored):
            notes.append(f"--{flag} is ignored: {use.because}")
            continue
        try:
            result = use.read(value)
        except ValueError as error:
            raise UsageError(f"--{flag}: {value!r} cannot be used; write {error}") from None
        if isinstance(result, Unused):
            notes.append(f"--{flag}={value} is ignored: {result}")
        elif result is not None:
            values[use.setting] = result
    return values, tuple(notes)
