"""`userproxy endpoints-controller`: the Endpoints, EndpointSlice and mirroring controllers alone, against any API server.

Parses, calls `app` and prints; the work is done there.
"""

from __future__ import annotations

from typing import Any

import click

from userproxy.cli.options import config_options, errors_for_people, read_settings, start_logging


@click.command("endpoints-controller")
@config_options("endpoints-controller")
@errors_for_people
def endpoints_controller(**values: Any) -> int:
    """Keep Endpoints and EndpointSlices of Services as a cluster's controller manager does, where that is missing.

    Run one of them, and none beside a controller manager: there is no leader election.

    \b
    Example:
      userproxy endpoints-controller --master http://127.0.0.1:8001
    """
    from userproxy.app import run_endpoints_controller

    config = start_logging(read_settings(values))
    return run_endpoints_controller(config)
