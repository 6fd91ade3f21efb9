"""What is printed at the start: lines that can be copied and work."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

from tests.standalone.conftest import SERVICES, Client
from userproxy.standalone.announce import ADD, announcement
from userproxy.standalone.session import Standalone


async def lines(path: Path, **options: str) -> list[str]:
    standalone = Standalone("127.0.0.1:0", data_directory=path, **options)
    await standalone.start()
    try:
        return list(announcement(standalone.listeners, "loopback", []))
    finally:
        await standalone.stop()


async def test_without_a_token_curl_works_too(tmp_path: Path) -> None:
    shown = await lines(tmp_path)
    assert "capture: loopback" in shown[0]
    assert shown[1] == f"export KUBECONFIG={tmp_path / 'kubeconfig'}"
    url = shown[0].split()[2]
    assert f"Look: curl {url}/api/v1/services   or: kubectl get services" in shown
    assert shown[-1] == "Stop: Ctrl-C"


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


async def test_the_command_that_adds_a_service_is_right(api: Client) -> None:
    words = shlex.split(ADD)
    assert words[0] == "echo"
    assert words[2:] == ["|", "kubectl", "apply", "-f", "-"]
    made = await api.ok("POST", SERVICES, json.loads(words[1]))
    assert made["spec"]["clusterIP"]
