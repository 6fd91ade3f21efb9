"""`userproxy run`: the node agent, or with --sidecar the agent of one Pod.

Parses, calls `app` and prints; the work is done there.
"""

from __future__ import annotations

from typing import Any

import click

from userproxy.cli.options import (
    config_options,
    errors_for_people,
    kube_proxy_options,
    read_settings,
    start_logging,
)


@click.command()
@config_options("run")
@kube_proxy_options
@errors_for_people
def run(**values: Any) -> int:
    """Make the Services of a cluster reachable on this node.

    \b
    Examples:
      userproxy run --kubeconfig /etc/kubernetes/kubelet.conf
      userproxy run --master http://127.0.0.1:8001 --capture route
    """
    from userproxy.app import run_on_cluster

    settings = read_settings(values)
    start_logging(settings)
    return run_on_cluster(settings)
