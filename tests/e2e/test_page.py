"""The live page in a real Chromium: it shows the demo, follows a scale to zero, obeys keys, fits every look, silently."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from tests.admin.chromium import Page, chromium
from tests.e2e.agent import USERPROXY
from tests.e2e.child import ROOT
from tests.netns import Namespace, namespace, needs_netns, needs_programs

API = "http://127.0.0.1:8001/api/v1/namespaces/default"
HOSTILE = "<img src=x onerror=alert(1)>"
ROW = "[...document.querySelectorAll('tr.row')].find(row => row.textContent.includes('my-service'))"


class Demo:
    """`userproxy standalone --demo` in a namespace, whose API is asked by curl."""

    def __init__(self, home: Namespace) -> None:
        self._home = home
        self.process = home.start(
            *USERPROXY,
            *("standalone", "--demo", "--no-api-tls", "--drain-timeout", "0.2"),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdout is not None
        assert any(line.startswith("Stop:") for line in self.process.stdout)

    def curl(self, *arguments: str) -> str:
        return self._home.run("curl", "--silent", "--max-time", "5", *arguments)

    def pods(self, ready: bool) -> None:
        """Make all Pods ready, or none."""
        status = {"status": {"conditions": [{"type": "Ready", "status": str(ready)}]}}
        for number in (1, 2, 3):
            self.merge(f"pods/my-pod-{number}/status", status)

    def annotate(self, name: str, value: str) -> None:
        """Annotate the Service."""
        self.merge("services/my-service", {"metadata": {"annotations": {name: value}}})

    def merge(self, path: str, patch: object) -> None:
        """Change an object by a merge patch."""
        self.curl(
            *("--request", "PATCH", "--header", "Content-Type: application/merge-patch+json", "--fail"),
            *("--data", json.dumps(patch), "--output", "/dev/null", f"{API}/{path}"),
        )

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(15)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.mark.netns
@needs_netns
@needs_programs("nft", "curl", "chromium")
def test_the_page_follows_the_demo(tmp_path: Path) -> None:
    with namespace("page") as home:
        demo = Demo(home)
        try:
            # The whole loop runs within the namespace: the browser, and the socket to it.
            with home.entered():
                asyncio.run(watch(demo, tmp_path / "page.png"))
        finally:
            demo.stop()


async def watch(demo: Demo, picture: Path) -> None:
    async with chromium() as page:
        await page.look(1400, 900)
        await page.call("Page.navigate", url="http://127.0.0.1:10249/")
        await shows_the_demo(page, demo)
        await follows_a_scale_to_zero(page, demo)
        await obeys_the_keyboard(page)
        await shows_names_as_text(page, demo)
        await fits_every_look(page)
        await page.screenshot(picture)
        assert picture.stat().st_size > 20_000
        assert page.complaints == []


async def shows_the_demo(page: Page, demo: Demo) -> None:
    await page.until(f"{ROW}?.innerText.includes('10.96.163.26:80')")
    await page.until("document.getElementById('state').innerText === 'ready'")
    await page.until("document.getElementById('probes').innerText.includes('in use')")
    await page.until("document.getElementById('watches').innerText.includes('endpointslices')")
    for _ in range(3):
        demo.curl("http://10.96.163.26/")
    await page.until("document.getElementById('events').innerText.includes('closed')")
    await page.until("document.querySelector('.tile .note').innerText.startsWith('3 accepted')")
    assert await page.evaluate("document.querySelectorAll('.tile path.line').length") == 5


async def follows_a_scale_to_zero(page: Page, demo: Demo) -> None:
    demo.pods(ready=False)
    await page.until(f"{ROW}.innerText.includes('dropping: no endpoint')")
    await page.until(f"{ROW}.innerText.includes('0 of 3')")
    await page.evaluate("document.querySelector('[data-kind=trouble]').click()")
    await page.until("document.getElementById('events').innerText.includes('connections are dropped')")
    assert not await page.evaluate("document.getElementById('events').innerText.includes('closed')")
    demo.pods(ready=True)
    await page.until(f"!{ROW}.innerText.includes('dropping')")


async def obeys_the_keyboard(page: Page) -> None:
    await page.press("/")
    await page.type("nothing of this name")
    await page.until("document.getElementById('none').innerText.includes('No Service matches')")
    await page.press("Escape")
    await page.until(f"Boolean({ROW})")
    await page.press("j")
    await page.press("Enter")
    await page.until("document.querySelector('tr.detail')?.innerText.includes('in use')")
    assert await page.evaluate("document.querySelectorAll('tr.detail .dot.used').length") == 3
    assert await page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
    colours = set()
    for name in ("Light", "Dark"):
        await page.press("t")
        await page.until(f"document.getElementById('theme').innerText === '{name}'")
        colours.add(await page.evaluate("getComputedStyle(document.body.parentElement).backgroundColor"))
    assert len(colours) == 2


async def shows_names_as_text(page: Page, demo: Demo) -> None:
    demo.annotate("userproxy.dev/no-endpoints", HOSTILE)
    await page.until(f"document.querySelector('tr.detail')?.innerText.includes('{HOSTILE}')")
    assert await page.evaluate("document.querySelectorAll('main img').length") == 0
    demo.annotate("userproxy.dev/no-endpoints", "drop")
    await page.until("!document.querySelector('tr.detail').innerText.includes('onerror')")


async def fits_every_look(page: Page) -> None:
    for width in (360, 800, 1200, 1400):
        await page.look(width, 800, "dark", phone=width < 500)
        assert (
            await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            == 0
        )
