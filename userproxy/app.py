"""What each command does, as a table of contents: build, start, announce, run, drain, say how it ended.

Owns signals and the event loop. The parts are put together in `agent`; commands are parsed and their results printed in `cli`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from functools import partial
from typing import Any

import uvloop

from userproxy import logs
from userproxy.agent import Agent, Connect, capture_settings
from userproxy.api_objects import Changes
from userproxy.capture.choose import choose
from userproxy.capture.cleanup import cleanup
from userproxy.capture.pod_namespace import pod_namespace
from userproxy.config import Config
from userproxy.configfile.reload import Reloading
from userproxy.configfile.source import Settings
from userproxy.core.connectivity import Result, without_loopback
from userproxy.core.findings import Finding
from userproxy.errors import UsageError, UserproxyError
from userproxy.kube.access import access_with_token
from userproxy.kube.cluster import Cluster

log = logging.getLogger(__name__)


def run_on_cluster(settings: Settings) -> int:
    """Serve a cluster's Services until a signal. Returns the exit code; raises UserproxyError."""
    config = settings.config

    def connect(deliver: Callable[[Changes], None]) -> Cluster:
        return Cluster(
            config.kubeconfig, config.master, node_name(config), config.service_proxy_name, deliver
        )

    async def serve() -> None:
        async with agent(settings, connect) as (_, stopping):
            await stopping.wait()

    return _run(serve())


def run_standalone(settings: Settings, show: Callable[[str], None]) -> int:
    """Serve the standalone API server's Services until a signal; `show` prints lines for the person who started it."""
    config = settings.config
    from userproxy.standalone.announce import announcement
    from userproxy.standalone.session import Standalone
    from userproxy.standalone.tuning import tune

    async def serve() -> None:
        tune()
        session = Standalone(
            api_bind_address=config.api_bind_address,
            manifests=config.manifests_path,
            demo=config.demo,
            node_name=node_name(config),
            service_cidr=config.service_cidr,
            data_directory=config.data_path,
            api_tls=config.api_tls,
            api_token=config.api_token,
        )
        try:
            await session.start()
            listeners = session.listeners
            # with the parts at hand the kubeconfig need not be read, which costs 45 MB and half a second
            access = access_with_token(session.url, listeners.token, listeners.authority)

            def connect(deliver: Callable[[Changes], None]) -> Cluster:
                return Cluster("", "", node_name(config), "", deliver, access=access)

            async with agent(settings, connect) as (running, stopping), asyncio.TaskGroup() as group:
                watching = group.create_task(session.run(), name="manifests")
                first = group.create_task(running.reconciler.ready.wait(), name="first plan")
                end = group.create_task(stopping.wait(), name="signal")
                await asyncio.wait([first, end], return_when=asyncio.FIRST_COMPLETED)
                if first.done():
                    for line in announcement(
                        listeners, running.capture_name, running.services(), running.admin
                    ):
                        show(line)
                await end
                first.cancel()
                watching.cancel()
        finally:
            await session.stop()

    return _run(serve())


def run_endpoints_controller(config: Config) -> int:
    """Keep Endpoints and EndpointSlices of a cluster until a signal. Returns the exit code; raises UserproxyError."""
    from userproxy.kube.session import authenticated_session
    from userproxy.standalone.controllers.loop import Controllers
    from userproxy.standalone.controllers.over_http import OverHttp
    from userproxy.standalone.controllers.state import Settings

    async def serve() -> None:
        stopping = asyncio.Event()
        _on_signals(stopping, stopping, None)
        async with authenticated_session(config.kubeconfig, config.master) as session:
            controllers = Controllers(OverHttp(session), Settings(require_nodes=True), workers=5)
            async with controllers.following(), asyncio.TaskGroup() as group:
                running = group.create_task(controllers.run(), name="controllers")
                log.info("endpoints controllers work")
                await stopping.wait()
                running.cancel()

    return _run(serve())


def check(config: Config, selected: Collection[str], wait: float) -> list[Finding]:
    """Run the selected checks, again and again for `wait` seconds until nothing fails. Raises UsageError."""
    from userproxy.check.runner import Checks

    checks = Checks(
        selected,
        capture_settings(config),
        kubeconfig=config.kubeconfig,
        master=config.master,
        node=node_name(config),
        healthz=config.healthz_bind_address,
        metrics=config.metrics_bind_address,
        agent=config.agent,
    )
    return uvloop.run(checks.until_passed(wait))


def test_connectivity(
    config: Config, targets: Sequence[str], services: Sequence[str], *, pod: bool, source: str, seconds: float
) -> list[Result]:
    """Try addresses: with `pod` those of `targets`, else those that the running agent serves. Raises UserproxyError."""
    from userproxy.admin.client import AgentClient
    from userproxy.connectivity import Attempts, pod_trials, service_trials

    if targets and not pod:
        raise UsageError("addresses are for --pod; without it --service NAME says what to try")
    agent = None if pod else AgentClient(config.agent)

    async def attempt() -> list[Result]:
        trials = list(pod_trials(targets, os.environ) if agent is None else service_trials(agent, services))
        results = await Attempts(agent, seconds).run(trials) if source != "namespace" else []
        if source != "host":
            async with pod_namespace() as inside:
                results += await Attempts(agent, seconds, "namespace", inside.socket).run(
                    [without_loopback(one) for one in trials]
                )
        return results

    return uvloop.run(attempt())


def clean_up(config: Config) -> tuple[str, ...]:
    """Remove everything of ours from the kernel; returns a line for each thing removed."""
    return uvloop.run(cleanup(capture_settings(config)))


def node_name(config: Config) -> str:
    """Return the name of our Node as the kubelet would give it (component-helpers GetHostname)."""
    return (config.hostname_override or socket.gethostname()).strip().lower()


@contextlib.asynccontextmanager
async def agent(settings: Settings, connect: Connect) -> AsyncIterator[tuple[Agent, asyncio.Event]]:
    """Run an Agent; yields it with the event that a signal sets. At the end it drains; a second signal cuts that short."""
    config = settings.config
    stopping, forced = asyncio.Event(), asyncio.Event()
    reloading = Reloading(settings)
    _on_signals(stopping, forced, reloading if reloading.file else None)
    capture, probes = await choose(capture_settings(config))
    for probe in probes:
        log.info("capture %s: %s%s", probe.capture, "" if probe.usable else "not usable: ", probe.reason)
    made = Agent(config, capture, probes, connect, node_name(config))
    try:
        await made.start()
    except BaseException:
        await made.release()
        raise
    try:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(made.run(), name="agent")
            following = group.create_task(reloading.run(partial(configure, made)), name="configuration file")
            try:
                yield made, stopping
            finally:
                following.cancel()
                running.cancel()
    finally:
        log.info("stopping: draining %d connections", made.plane.connections)
        await made.stop(forced)


def configure(made: Agent, config: Config) -> None:
    """Apply a changed configuration file to what runs. Workers log as before until they are replaced."""
    logs.set_up(config.log_level, config.log_format)
    made.configure(config)


def _on_signals(stopping: asyncio.Event, forced: asyncio.Event, reloading: Reloading | None) -> None:
    """End on SIGTERM and SIGINT. SIGHUP reads the configuration file again; without one it is a terminal that went away."""

    def received() -> None:
        if stopping.is_set():
            forced.set()
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, received)
    if reloading:
        loop.add_signal_handler(signal.SIGHUP, reloading.ask)
    elif signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup(1)
        loop.add_signal_handler(signal.SIGHUP, received)


def _run(main: Coroutine[Any, Any, None]) -> int:
    # What a large cluster is told by lives on: looking through it again and again took a tenth of a start with 10,000 Services.
    gc.set_threshold(20_000, 20, 200)
    try:
        uvloop.run(main)
    except BaseExceptionGroup as group:
        known = group.subgroup(UserproxyError)
        if known is None or group.split(UserproxyError)[1] is not None:
            raise
        raise first_error(known) from None
    return 0


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first plain exception within `group`."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
