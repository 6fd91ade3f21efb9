"""What is printed at the start: lines that can be copied and work."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.standalone.conftest import SERVICES, Client
from userproxy.core.addresses import AdminAddress
from userproxy.core.counters import PortCounters
from userproxy.core.policy import Verdict
from userproxy.core.status import FrontendView, ServicePortView, ServiceView
from userproxy.model import FrontendKind
from userproxy.standalone.announce import ADD, announcement
from userproxy.standalone.session import Standalone


async def lines(path: Path, services: Sequence[ServiceView] = (), **options: str) -> list[str]:
    standalone = Standalone("127.0.0.1:0", data_directory=path, **options)
    await standalone.start()
    try:
        return list(announcement(standalone.listeners, "loopback", services))
    finally:
        await standalone.stop()


async def test_without_a_token_curl_works_too(tmp_path: Path) -> None:
    shown = await lines(tmp_path)
    assert "capture: loopback" in shown[0]
    assert shown[1] == f"export KUBECONFIG={tmp_path / 'kubeconfig'}"
    url = shown[0].split()[2]
    assert f"Look: curl {url}/api/v1/services   or: kubectl get services" in shown
    assert shown[-1] == "Stop: Ctrl-C"


async def test_the_kubeconfig_serves_in_other_directories_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (await lines(Path("state")))[1] == f"export KUBECONFIG={tmp_path / 'state' / 'kubeconfig'}"


async def test_with_a_token_only_what_shows_it(tmp_path: Path) -> None:
    shown = await lines(tmp_path / "with space", api_token="required")
    assert shown[1] == f"export KUBECONFIG='{tmp_path / 'with space' / 'kubeconfig'}'"
    [look] = [line for line in shown if line.startswith("Look: ")]
    done = subprocess.run(
        ["sh", "-c", look.removeprefix("Look: ").replace("curl", "echo")],
        capture_output=True,
        text=True,
        check=True,
    )
    token = (tmp_path / "with space" / "token").read_text().strip()
    assert f"Authorization: Bearer {token}" in done.stdout
    assert not any(token in line for line in shown)
    assert any("--no-api-tls" in line for line in shown)


@pytest.mark.parametrize("on_path", [True, False])
async def test_who_is_asked_and_where_the_page_is(
    on_path: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = Path(sys.executable).parent
    monkeypatch.setenv("PATH", str(beside) if on_path else "/nowhere")
    program = "userproxy" if on_path else str(beside / "userproxy")
    frontend = FrontendView("10.96.0.10", 80, "TCP", FrontendKind.CLUSTER_IP, "")
    port = ServicePortView(
        "", "TCP", "IPv4", "10.96.0.10", 80, Verdict.CARRY, (frontend,), (), (), PortCounters(), ()
    )
    standalone = Standalone("127.0.0.1:0", data_directory=tmp_path)
    await standalone.start()
    try:
        services = [ServiceView("default", "web", (port,), ())]
        usual, other = (
            list(announcement(standalone.listeners, "route", services, AdminAddress(text, page=page)))
            for text, page in (("127.0.0.1:10249", True), ("127.0.0.1:9000", False))
        )
    finally:
        await standalone.stop()
    assert f"Ask:  {program} explain 10.96.0.10   or: {program} status" in usual
    assert "Page: http://127.0.0.1:10249/" in usual
    elsewhere = "--agent 127.0.0.1:9000"
    assert f"Ask:  {program} explain 10.96.0.10 {elsewhere}   or: {program} status {elsewhere}" in other
    assert not [line for line in other if line.startswith("Page:")]


async def test_the_command_that_adds_a_service_is_right(api: Client) -> None:
    words = shlex.split(ADD)
    assert words[0] == "echo"
    assert words[2:] == ["|", "kubectl", "apply", "-f", "-"]
    made = await api.ok("POST", SERVICES, json.loads(words[1]))
    assert made["spec"]["clusterIP"]


async def test_curl_is_offered_for_tcp_only(tmp_path: Path) -> None:
    def port(protocol: str, number: int) -> ServicePortView:
        frontend = FrontendView("127.64.0.9", number, protocol, "Loopback", "")
        carry = Verdict.CARRY
        return ServicePortView(
            "", protocol, "IPv4", "10.96.0.9", number, carry, (frontend,), (), (), PortCounters(), ()
        )

    udp = ServiceView("default", "dns", (port("UDP", 53),), ())
    assert not any(line.startswith("Try:") for line in await lines(tmp_path, [udp]))
    both = ServiceView("default", "web", (port("UDP", 53), port("TCP", 81)), ())
    assert "Try:  curl http://127.64.0.9:81/" in await lines(tmp_path, [both])
