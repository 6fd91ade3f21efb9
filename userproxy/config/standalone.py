"""Settings of `userproxy standalone`: its API server, where it keeps objects, what it applies.

Owns these fields; `config` joins them with the others and checks them.
"""

from __future__ import annotations

from dataclasses import dataclass

from userproxy.config.checks import data_directory, network
from userproxy.setting import STANDALONE, setting


@dataclass(frozen=True, init=False, repr=False, eq=False)  # only Config is made
class Standalone:
    """Kubernetes without a cluster."""

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
        check=data_directory,
    )
    manifests: str = setting(
        "",
        "Directory of YAML files that are applied, watched and pruned.",
        commands=STANDALONE,
        metavar="DIR",
    )
    demo: bool = setting(False, "Start three demo Pods behind the Service my-service.", commands=STANDALONE)
    service_cidr: str = setting(
        "10.96.0.0/16",
        "Range that ClusterIPs are taken from.",
        commands=STANDALONE,
        metavar="CIDR",
        check=network,
    )
