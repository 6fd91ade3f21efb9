"""Which way of capture is taken on this host.

Owns the order of preference and what a person is told about it. Every answer comes from a probe that does the real thing
in the kernel and undoes it; nothing is concluded from versions, modules or the presence of files.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeAlias

from userproxy.capture import local_route, loopback, none, redirect_iptables, redirect_nft, transparent
from userproxy.capture.local_route import LocalRoute
from userproxy.capture.loopback import Loopback
from userproxy.capture.none import Uncaptured
from userproxy.capture.redirect_iptables import RedirectIptables
from userproxy.capture.redirect_nft import RedirectNft
from userproxy.capture.settings import MODES, CaptureSettings, host_has_ipv6
from userproxy.capture.transparent import Transparent, Wrapped
from userproxy.errors import CaptureError, UsageError
from userproxy.model import Family, Probe

Capture: TypeAlias = RedirectNft | RedirectIptables | LocalRoute | Loopback | Uncaptured | Transparent

_Found: TypeAlias = tuple[Probe, Capture | None]
_Try: TypeAlias = Callable[[CaptureSettings, Sequence[Family]], Awaitable[_Found]]


class Chosen(NamedTuple):
    """The capture to use, and the answers of all probes made: those passed over, then the chosen one."""

    capture: Capture
    probes: tuple[Probe, ...]


async def choose(settings: CaptureSettings) -> Chosen:
    """Return the capture to use, with the reasons.

    Nothing is installed yet. `capture.families` tells which families it carries. Raises UsageError for an unknown mode and
    CaptureError when no way that `settings.mode` allows is usable.
    """
    tries = _tries(settings.mode)
    answers: list[Probe] = []
    for attempt in tries:
        answer, capture = await _with_families(attempt, settings)
        answers.append(answer)
        if capture is not None and settings.transparent:
            return await _transparent(settings, capture, answers)
        if capture is not None:
            return Chosen(capture, tuple(answers))
    reasons = "; ".join(f"{answer.capture}: {answer.reason}" for answer in answers)
    advice = "" if settings.mode == "auto" else " (--capture auto takes another way if there is one)"
    raise CaptureError(f"capture {settings.mode} is not usable: {reasons}{advice}")


async def _transparent(settings: CaptureSettings, capture: Wrapped, answers: list[Probe]) -> Chosen:
    """Add the way back of transparent dials to a capture. Raises CaptureError when it is not to be had."""
    if capture.name == "loopback" or settings.sidecar:
        raise CaptureError(
            "--transparent: with --sidecar and --capture loopback all clients are this host itself, so endpoints see its "
            "address anyway; leave it out"
        )
    answer = await transparent.probe(capture.families, workers=settings.workers)
    if not answer.usable:
        raise CaptureError(f"--transparent is not usable: {answer.reason} (--transparent off does without)")
    return Chosen(transparent.Transparent(capture), (*answers, answer))


async def answers(settings: CaptureSettings) -> tuple[Probe, ...]:
    """Return the answer of every way that auto would try, usable or not, in order of preference."""
    return tuple([(await _with_families(attempt, settings))[0] for attempt in _tries("auto")])


async def _with_families(attempt: _Try, settings: CaptureSettings) -> _Found:
    wants_ipv6 = host_has_ipv6() if settings.ipv6 is None else settings.ipv6
    if not wants_ipv6:
        return await attempt(settings, (Family.IPV4,))
    answer, capture = await attempt(settings, (Family.IPV4, Family.IPV6))
    if capture is not None or settings.ipv6:
        return answer, capture
    # Nobody asked for IPv6 by name, so a kernel that can do only IPv4 in this way is good enough.
    reduced, capture = await attempt(settings, (Family.IPV4,))
    if capture is None:
        return reduced, None
    return Probe(
        reduced.capture, usable=True, reason=f"{reduced.reason}; IPv4 only, {answer.reason}"
    ), capture


def _tries(mode: str) -> tuple[_Try, ...]:
    redirect = (_redirect_nft, _redirect_iptables)
    ways: dict[str, tuple[_Try, ...]] = {
        "auto": (*redirect, _route, _loopback),
        "redirect": redirect,
        "redirect-nft": (_redirect_nft,),
        "redirect-iptables": (_redirect_iptables,),
        "route": (_route,),
        "loopback": (_loopback,),
        "none": (_none,),
    }
    if mode not in ways:
        raise UsageError(f"unknown capture {mode!r}: use one of {', '.join(MODES)}")
    return ways[mode]


async def _redirect_nft(settings: CaptureSettings, families: Sequence[Family]) -> _Found:
    answer = await redirect_nft.probe(settings, families)
    return answer, RedirectNft(settings, families) if answer.usable else None


async def _redirect_iptables(settings: CaptureSettings, families: Sequence[Family]) -> _Found:
    answer, program = await redirect_iptables.probe(settings, families)
    return answer, RedirectIptables(settings, families, program) if program else None


async def _route(settings: CaptureSettings, families: Sequence[Family]) -> _Found:
    answer = await local_route.probe(settings, families)
    return answer, LocalRoute(settings, families) if answer.usable else None


async def _loopback(settings: CaptureSettings, families: Sequence[Family]) -> _Found:
    answer = await loopback.probe(settings, families)
    return answer, Loopback(settings, families) if answer.usable else None


async def _none(settings: CaptureSettings, families: Sequence[Family]) -> _Found:
    answer = await none.probe(settings, families)
    return answer, Uncaptured(settings, families) if answer.usable else None
