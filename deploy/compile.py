"""Build hook: with USERPROXY_COMPILE=1 the hot modules of a wheel are compiled by mypyc from the very same source.

Owns the list of those modules. Without the variable, and in editable installs, nothing is compiled and the wheel is pure
Python.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULES = (
    "userproxy/core/balancer.py",
    "userproxy/dataplane/acceptor.py",
    "userproxy/dataplane/attempt.py",
    "userproxy/dataplane/connection.py",
    "userproxy/dataplane/dialing.py",
    "userproxy/dataplane/reactor.py",
    "userproxy/dataplane/relay.py",
    "userproxy/dataplane/service_port.py",
    "userproxy/dataplane/tcp_listener.py",
    "userproxy/dataplane/udp.py",
    "userproxy/dataplane/udp_flow.py",
    "userproxy/dataplane/udp_flows.py",
)
"""What runs for each connection, each datagram and each event."""


class CompileHook(BuildHookInterface[Any]):
    """Adds compiled modules to the wheel; the sources stay in it too and are used where the compiled ones do not fit."""

    PLUGIN_NAME = "custom"
    _folder: tempfile.TemporaryDirectory[str] | None = None

    def dependencies(self) -> list[str]:
        """Return what the build environment needs."""
        return ["mypy>=1.14", "setuptools", "msgspec"] if wanted(self.target_name) else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, when asked for."""
        if not wanted(self.target_name) or version == "editable":
            return
        self._folder = tempfile.TemporaryDirectory(prefix="userproxy-compile-")
        work = Path(self._folder.name)
        shutil.copytree(Path(self.root) / "userproxy", work / "userproxy")
        subprocess.run(
            [sys.executable, "-m", "mypyc", "--ignore-missing-imports", *MODULES], cwd=work, check=True
        )
        for built in [*work.glob("*.so"), *work.glob("userproxy/**/*.so")]:
            build_data["force_include"][str(built)] = str(built.relative_to(work))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled: it is in the wheel now."""
        if self._folder is not None:
            self._folder.cleanup()


def wanted(target: str) -> bool:
    """Whether this build shall compile."""
    return target == "wheel" and os.environ.get("USERPROXY_COMPILE") == "1"
