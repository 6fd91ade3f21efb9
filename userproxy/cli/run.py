"""`userproxy run`: the node agent, or with --sidecar the agent of one Pod.

Parses, calls `app` and prints; the work is done there.
"""

from __future__ import annotations

from typing import Any

import click

from userproxy.cli.options import build_config, config_options, errors_for_people, set_up_logging


@click.command()
@config_options("run")
@errors_for_people
def run(**values: Any) -> int:
    """Make the Services of a cluster reachable on this node.

    \b
    Examples:
      userproxy run --kubeconfig /etc/kubernetes/kubelet.conf
      userproxy run --master http://127.0.0.1:8001 --capture route
    """
    from userproxy.app import run_on_cluster

    config = build_config(values)
    set_up_logging(config.log_level)
    return run_on_cluster(config)
