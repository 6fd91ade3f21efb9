"""The command line as a process: help, environment, and errors in one line with the right exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from userproxy import __version__
from userproxy.config import settings_of
from userproxy.setting import flag

COMMANDS = ("run", "standalone", "cleanup", "endpoints-controller", "check")


def userproxy(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "userproxy", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def test_version_and_help() -> None:
    assert __version__ in userproxy("--version").stdout
    shown = userproxy("--help").stdout
    assert all(command in shown for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_lists_every_setting_and_an_example(command: str) -> None:
    shown = userproxy(command, "--help").stdout
    for field in settings_of(command):
        assert flag(field.name) in shown
    assert f"userproxy {command}" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["run", "--no-such-flag"], 2, "--no-such-flag"),
        (["nonsense"], 2, "nonsense"),
        (["run", "--capture", "magic"], 2, "magic"),
        (
            ["run", "--half-close-timeout", "soon"],
            2,
            "'soon' is not a duration; write for example 90, 1.5s, 5m",
        ),
        (["run", "--workers", "many"], 2, "--workers: 'many' is neither a number nor auto"),
        (["run", "--master", "localhost"], 2, "--master: 'localhost' is not a URL"),
        (["run", "--kubeconfig", "/nonexistent", "--capture", "loopback"], 2, "/nonexistent"),
        (["standalone", "--manifests", "/nonexistent", "--capture", "loopback"], 2, "/nonexistent"),
        (["run", "--config", "/nonexistent"], 2, "--config: cannot read /nonexistent"),
        (["run", "--cleanup"], 2, "--cleanup is a command here: userproxy cleanup"),
        (["run", "--proxy-mode=userspace"], 2, "--proxy-mode: 'userspace' cannot be used"),
        (
            [
                "run",
                "--healthz-bind-address",
                "x:y",
                "--capture",
                "loopback",
                "--master",
                "http://127.0.0.1:9",
            ],
            2,
            "x:y",
        ),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else None,
)
def test_errors_are_one_line_without_a_traceback(arguments: list[str], code: int, says: str) -> None:
    done = userproxy(*arguments)
    errors = [line for line in done.stderr.splitlines() if " INFO " not in line]
    assert done.returncode == code, done.stderr
    assert len(errors) == 1
    assert says in errors[0]
    assert errors[0].startswith("userproxy: ")


def test_settings_come_from_the_environment_too() -> None:
    done = userproxy("run", USERPROXY_RUN_WORKERS="many")
    assert done.returncode == 2
    assert "'many'" in done.stderr


def test_the_command_line_of_kube_proxy_is_taken_over() -> None:
    done = userproxy(
        "run",
        "--proxy-mode=iptables",
        "--masquerade-all",
        "--oom-score-adj",
        "-999",
        "-v=2",
        "--ipvs-strict-arp=false",
        "--feature-gates=A=true,B=false",
        "--capture=loopback",
        "--kubeconfig=/nonexistent",
    )
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert sum(" is ignored: " in line for line in lines) == 4
    # our own flag wins over the mode
    assert any("capture loopback" in line for line in lines)
    assert lines[-1].startswith("userproxy: kubeconfig /nonexistent cannot be used")


def test_flag_environment_file_default(tmp_path: Path) -> None:
    """The values are such that the error shows which of them won."""
    file = tmp_path / "config.yaml"
    head = "apiVersion: userproxy.dev/v1alpha1\nkind: UserproxyConfiguration\n"
    file.write_text(head + "workers: from-file\nlogLevel: debug\n")
    environment = {"USERPROXY_RUN_CONFIG": str(file)}
    shown = [
        userproxy("run", **environment).stderr,
        userproxy("run", **environment, USERPROXY_RUN_WORKERS="from-environment").stderr,
        userproxy("run", "--workers", "from-flag", **environment, USERPROXY_RUN_WORKERS="x").stderr,
    ]
    assert [one.split("--workers: ")[1].split()[0] for one in shown] == [
        "'from-file'",
        "'from-environment'",
        "'from-flag'",
    ]
    assert shown[0].startswith(f"userproxy: {file}: ")
