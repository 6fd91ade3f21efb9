"""Settings of where the proxy stands: API server, Node, Pod networks, node ports and which Services are its own.

Owns these fields; `config` joins them with the others and checks them.
"""

from __future__ import annotations

from dataclasses import dataclass

from userproxy.config.checks import networks, node_port_addresses, server_url
from userproxy.setting import AGENT, API_CLIENT, CHECK, EVERY, RUN, setting


@dataclass(frozen=True, init=False, repr=False, eq=False)  # only Config is made
class Cluster:
    """How the API server is reached, and our place in the cluster."""

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
        check=server_url,
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
        check=networks,
    )
    nodeport_addresses: str = setting(
        "primary",
        "Which of the host's addresses answer node ports: networks separated by commas, or primary for those of the Node "
        "object; a family with none named answers on all.",
        commands=AGENT,
        live=True,
        metavar="CIDRS",
        check=node_port_addresses,
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
