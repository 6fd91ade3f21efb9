"""The health server: `/healthz`, `/livez` and `/readyz`, by default on 0.0.0.0:10256.

Owns the wording of kube-proxy's answers (PH:healthzHandler, livezHandler in v1.36): status codes, headers, JSON fields and
their order. The verdict itself is `core.health`'s. As there, no request method is refused and every other path is 404.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from userproxy.admin.server import NOSNIFF, HttpServer, Limits, text_response
from userproxy.admin.sources import Sources
from userproxy.admin.wallclock import WallClock
from userproxy.core.addresses import BindAddress
from userproxy.core.health import HealthVerdict
from userproxy.core.status import FAMILY_NAMES

HEALTHZ_SETTING = "--healthz-bind-address"

_NEVER = datetime(1, 1, 1, tzinfo=UTC)
"""Go's zero time, which kube-proxy answers before the first update."""


class _FamilyBody(msgspec.Struct, rename="camel"):
    last_updated: datetime
    healthy: bool


class _HealthBody(msgspec.Struct, rename="camel"):
    """The order of the fields is the order in the answer."""

    last_updated: datetime
    current_time: datetime
    node_eligible: bool | msgspec.UnsetType
    healthy: bool
    status: dict[str, _FamilyBody] | msgspec.UnsetType


class HealthServer(HttpServer):
    """Answers probes from `sources`; counts its answers in `sources.answers`."""

    def __init__(self, bind: BindAddress | None, sources: Sources, limits: Limits | None = None) -> None:
        super().__init__(bind, HEALTHZ_SETTING, self._answer, limits or Limits())
        self._sources = sources
        self._clock = WallClock()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        if request.path == "/healthz":
            return self._healthz()
        if request.path == "/livez":
            return self._livez()
        if request.path == "/readyz":
            return self._readyz()
        return text_response("404 page not found\n", 404)

    def _healthz(self) -> web.Response:
        now = time.monotonic()
        verdict = self._sources.health(now)
        passed = verdict.healthy and verdict.node_eligible
        return self._respond(verdict, passed, verdict.node_eligible, now, self._sources.answers.healthz)

    def _livez(self) -> web.Response:
        now = time.monotonic()
        verdict = self._sources.health(now)
        return self._respond(verdict, verdict.healthy, msgspec.UNSET, now, self._sources.answers.livez)

    def _readyz(self) -> web.Response:
        reasons = self._sources.readiness()
        if reasons:
            return text_response("".join(f"{reason}\n" for reason in reasons), 503)
        return text_response("ok")

    def _respond(
        self,
        verdict: HealthVerdict,
        passed: bool,
        eligible: bool | msgspec.UnsetType,
        now: float,
        answers: dict[int, int],
    ) -> web.Response:
        current = self._clock.at(now)
        # A passing answer says "now" even when nothing changed for long: older kube-proxies did, and tools rely on it.
        updated = current if passed else self._moment(verdict.last_applied)
        status = {
            FAMILY_NAMES[one.family]: _FamilyBody(self._moment(one.last_applied), one.healthy)
            for one in verdict.families
        }
        body = _HealthBody(updated, current, eligible, verdict.healthy, status or msgspec.UNSET)
        code = 200 if passed else 503
        answers[code] += 1
        return web.Response(
            body=msgspec.json.encode(body),
            status=code,
            content_type="application/json",
            headers=NOSNIFF,
        )

    def _moment(self, moment: float | None) -> datetime:
        return _NEVER if moment is None else self._clock.at(moment)
