"""The files of the live page: all are served, under a policy that lets nothing else in, and none asks for more."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.admin.build import LOOPBACK, ask, running, sources
from userproxy.admin import page_files
from userproxy.admin.metrics import MetricsServer
from userproxy.admin.page_files import FILES

FOLDER = Path(page_files.__file__).parent / "page"


async def test_every_file_is_served_under_the_policy() -> None:
    async with running(MetricsServer(LOOPBACK, sources())) as server:
        answers = {path: await ask(server, path) for path in FILES}
        linked = await ask(server, "/", headers=[("Sec-Fetch-Site", "cross-site")])
        taken = await ask(server, "/page.js", headers=[("Sec-Fetch-Site", "cross-site")])
    assert {name for name, _ in FILES.values()} == {path.name for path in FOLDER.iterdir()}
    for path, answer in answers.items():
        assert (answer.status, answer.body) == (200, (FOLDER / FILES[path][0]).read_bytes())
        assert answer.headers["content-type"] == f"{FILES[path][1]}; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
    assert (linked.status, taken.status) == (200, 403)


async def test_without_it_there_is_no_page() -> None:
    async with running(MetricsServer(LOOPBACK, sources(), live=False)) as server:
        assert {(await ask(server, path)).status for path in (*FILES, "/live")} == {404}


@pytest.mark.parametrize("name", sorted(name for name, _ in FILES.values()))
def test_nothing_is_taken_from_elsewhere_and_no_text_becomes_markup(name: str) -> None:
    text = (FOLDER / name).read_text()
    namespaces = {"http://www.w3.org/2000/svg"}
    assert set(re.findall(r"https?://[^\s\"')]+", text)) <= namespaces
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|@import|url\(", text
    )
    assert len(text.splitlines()) <= 250
