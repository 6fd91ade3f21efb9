"""One run of the selected checks, and runs repeated until nothing fails.

Owns the order and what is asked of whom. Prints nothing (`cli.check`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection

import userproxy
from userproxy.admin.client import AgentClient
from userproxy.capture.choose import answers
from userproxy.capture.settings import CaptureSettings
from userproxy.check.host import plain_findings, port_findings, rule_findings
from userproxy.core.cluster_checks import agent_findings, api_findings
from userproxy.core.findings import Finding, in_order, passed
from userproxy.core.host_checks import capture_findings
from userproxy.core.status import StatusView
from userproxy.errors import AgentError
from userproxy.kube.questions import ask_api

_AGENT_SECONDS = 3.0
_PAUSE = 1.0


class Checks:
    """What to check, and against what."""

    def __init__(
        self,
        selected: Collection[str],
        capture: CaptureSettings,
        *,
        kubeconfig: str,
        master: str,
        node: str,
        healthz: str,
        metrics: str,
        agent: str,
    ) -> None:
        self._selected = frozenset(selected)
        self._capture = capture
        self._kubeconfig = kubeconfig
        self._master = master
        self._node = node
        self._healthz = healthz
        self._metrics = metrics
        self._agent = AgentClient(agent, _AGENT_SECONDS)

    async def until_passed(self, seconds: float) -> list[Finding]:
        """Return the findings of the last run: the first that passed, or what there was after `seconds`."""
        ends = time.monotonic() + seconds
        while True:
            found = await self.run()
            if passed(found) or time.monotonic() + _PAUSE > ends:
                return found
            await asyncio.sleep(_PAUSE)

    async def run(self) -> list[Finding]:
        """Return the findings of the selected checks in order. Raises UsageError."""
        found: list[Finding] = []
        status, failure = await asyncio.to_thread(self._ask_agent)
        answers_us = status is not None
        if self._wants("host"):
            found += plain_findings()
            found.append(port_findings(self._healthz, self._metrics, agent_answers=answers_us))
            found += await rule_findings(agent_answers=answers_us)
        if self._wants("capture"):
            found += capture_findings(await answers(self._capture), self._capture.mode)
        if self._wants("api"):
            found += api_findings(
                await ask_api(
                    self._kubeconfig, self._master, self._node, permissions="api/allowed" in self._selected
                )
            )
        if self._wants("agent"):
            found += agent_findings(status, failure, userproxy.__version__)
        return in_order([one for one in found if one.check in self._selected])

    def _wants(self, category: str) -> bool:
        return any(name.startswith(category + "/") for name in self._selected)

    def _ask_agent(self) -> tuple[StatusView | None, str]:
        try:
            return self._agent.status(), ""
        except AgentError as error:
            return None, str(error)
