"""Probes all Pods of a registry in their time and writes what comes out into their conditions.

Owns the schedule and the verdicts. A Pod is probed while it is declared Running and has an address; a Pod whose probes are all
taken away becomes ready. Everything is done by `step`; `run` only waits for the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator

import msgspec

from userproxy.standalone.controllers.in_process import InProcess
from userproxy.standalone.decoding import WriteOptions
from userproxy.standalone.kinds import POD
from userproxy.standalone.objects import Json, timestamp
from userproxy.standalone.probes.attempt import Attempts
from userproxy.standalone.probes.declared import Probe, Unusable, containers_with_probes, read_probe
from userproxy.standalone.probes.verdict import Verdict, conditions
from userproxy.standalone.recording import Notice, Recorder
from userproxy.standalone.registry import Registry
from userproxy.standalone.statuses import Refusal
from userproxy.standalone.store import Event

log = logging.getLogger(__name__)

_OPTIONS = WriteOptions(manager="kubelet")
_LONGEST_WAIT = 60.0
AT_ONCE = 64
"""Probes that run at a time; those that are due beyond it wait."""


class _Target(msgspec.Struct, eq=False):
    """One probed container."""

    probe: Probe
    due: float
    verdict: Verdict
    running: bool = False


class _Probed(msgspec.Struct, eq=False):
    """One Pod that is probed."""

    uid: str
    targets: dict[str, _Target]
    troubles: dict[str, str]


class Prober:
    """Readiness of the Pods of a registry. `clock` gives monotonic seconds."""

    def __init__(
        self,
        registry: Registry,
        node_name: str = "",
        *,
        clock: Callable[[], float] = time.monotonic,
        at_once: int = AT_ONCE,
    ) -> None:
        """`node_name` is where Events say that the probes come from."""
        self._recorder = Recorder(InProcess(registry), "kubelet", node_name, clock=clock)
        self._notices: list[Notice] = []
        self._registry = registry
        self._clock = clock
        self._at_once = at_once
        self._pods: dict[str, _Probed] = {}
        self._changed: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._running = 0

    @property
    def targets(self) -> int:
        """Number of containers that are probed."""
        return sum(len(pod.targets) for pod in self._pods.values())

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """Take in the Pods that exist, then follow changes while the block lasts; `run` acts on them.

        To be entered before others who look at readiness: a Pod that is declared anew without conditions then has them
        back before anybody else is woken.
        """
        leave = self._registry.store.subscribe(POD, self._on_event)
        for key, _item in self._registry.store.items(POD):
            self._changed[key] = None
        try:
            yield
        finally:
            leave()

    async def run(self) -> None:
        """Probe until cancelled, within a `following` block; leaves no task and no connection."""
        attempts = Attempts()
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    self._wake.clear()
                    self._look()
                    notices, self._notices = self._notices, []
                    for notice in notices:
                        await self._recorder.record(notice)
                    for key, name, target in self._due():
                        target.running = True
                        self._running += 1
                        attempt = self._attempt(attempts, key, name, target)
                        group.create_task(attempt, name=f"probe of {key} {name}")
                    await self._wait()
        finally:
            await attempts.close()

    async def _wait(self) -> None:
        soonest = min((target.due for target in self._idle()), default=self._clock() + _LONGEST_WAIT)
        # with no slot free, the end of a probe wakes us
        wait = _LONGEST_WAIT if self._running >= self._at_once else soonest - self._clock()
        try:
            async with asyncio.timeout(max(0.0, wait)):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _idle(self) -> list[_Target]:
        return [
            target for pod in self._pods.values() for target in pod.targets.values() if not target.running
        ]

    def _on_event(self, event: Event) -> None:
        self._changed[event.key] = None
        self._wake.set()

    # ---- which Pods are probed -------------------------------------------------------------------------------

    def _look(self) -> None:
        """Take in the Pods that changed."""
        changed, self._changed = self._changed, {}
        for key in changed:
            pod = self._registry.store.get(POD, key)
            before = self._pods.pop(key, None)
            if pod is None:
                continue
            probed = self._read(key, pod, before)
            if probed is not None:
                self._pods[key] = probed
                self._tell(key)
            elif before is not None and pod["status"].get("phase") == "Running":
                self._write(key, pod, {}, {})

    def _read(self, key: str, pod: Json, before: _Probed | None) -> _Probed | None:
        containers = containers_with_probes(pod)
        status, metadata = pod["status"], pod["metadata"]
        if not containers or status.get("phase") != "Running" or not status.get("podIP"):
            return None
        if before is not None and before.uid != metadata["uid"]:
            before = None
        probed = _Probed(metadata["uid"], {}, {})
        for container in containers:
            name = container["name"]
            try:
                probe = read_probe(container, status["podIP"])
            except Unusable as fault:
                probed.troubles[name] = str(fault)
                if before is None or before.troubles.get(name) != str(fault):
                    log.warning("Pod %s, container %s: %s; the Pod stays not ready", key, name, fault)
                    self._notices.append(_notice(pod, name, "ProbeNotSupported", str(fault)))
                continue
            known = before.targets.get(name) if before is not None else None
            if known is not None and known.probe == probe:
                probed.targets[name] = known
            else:
                probed.targets[name] = _Target(probe, self._clock() + probe.initial_delay, Verdict())
        return probed

    # ---- one probe -------------------------------------------------------------------------------------------

    def _due(self) -> list[tuple[str, str, _Target]]:
        """Return what is to be probed now, longest waiting first, as far as slots are free."""
        now = self._clock()
        due = [
            (key, name, target)
            for key, pod in self._pods.items()
            for name, target in pod.targets.items()
            if not target.running and target.due <= now
        ]
        due.sort(key=lambda entry: entry[2].due)
        return due[: max(0, self._at_once - self._running)]

    async def _attempt(self, attempts: Attempts, key: str, name: str, target: _Target) -> None:
        try:
            failure = await attempts.failure(target.probe)
        finally:
            target.running = False
            self._running -= 1
            self._wake.set()
        target.due = max(target.due + target.probe.period, self._clock())
        target.verdict.take(target.probe, success=not failure)
        probed = self._pods.get(key)
        if probed is None or probed.targets.get(name) is not target:
            return
        self._tell(key)
        pod = self._registry.store.get(POD, key)
        if failure and pod is not None:
            await self._recorder.record(_notice(pod, name, "Unhealthy", f"Readiness probe failed: {failure}"))

    # ---- conditions ------------------------------------------------------------------------------------------

    def _tell(self, key: str) -> None:
        probed, pod = self._pods[key], self._registry.store.get(POD, key)
        if pod is not None and pod["metadata"]["uid"] == probed.uid:
            ready = {name: target.verdict.ready for name, target in probed.targets.items()}
            self._write(key, pod, ready, probed.troubles)

    def _write(self, key: str, pod: Json, ready: dict[str, bool], troubles: dict[str, str]) -> None:
        made = conditions(pod, ready, troubles, timestamp(time.time()))
        if made == pod["status"].get("conditions"):
            return
        metadata = pod["metadata"]

        def change(item: Json) -> Json:
            item["status"]["conditions"] = made
            return item

        try:
            self._registry.change(POD, metadata["namespace"], metadata["name"], change, _OPTIONS, status=True)
        except Refusal as refused:
            log.warning("readiness of Pod %s cannot be written: %s", key, refused)


def _notice(pod: Json, container: str, reason: str, message: str) -> Notice:
    return Notice(pod, reason, message, field=f"spec.containers{{{container}}}")
