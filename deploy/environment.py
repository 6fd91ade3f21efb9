"""Makes the virtual environment that the demo and the tests run in, on a machine with nothing but Python 3.11.

Owns `.venv` and the Debian packages that a step needs. Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = Path(os.environ.get("USERPROXY_VENV", ROOT / ".venv"))
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "userproxy-installed"


def ensure_environment(extra: str = "") -> Path:
    """Create or refresh the virtual environment with this project installed; returns its Python."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this file is what tells people with an older Python
        sys.exit("userproxy needs Python 3.11 or later: this is " + sys.version.split()[0])
    wanted = f"[{extra}]" if extra else ""
    stamp = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + wanted.encode()).hexdigest()
    if PYTHON.exists() and STAMP.exists() and stamp in STAMP.read_text().split():
        return PYTHON
    if not PYTHON.exists():
        _create()
    pip = [
        PYTHON,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--editable",
        f"{ROOT}{wanted}",
    ]
    if subprocess.run(pip, check=False).returncode:
        sys.exit("installing the dependencies failed, see above; is the package index reachable?")
    with STAMP.open("a") as file:
        file.write(stamp + "\n")
    return PYTHON


def ensure_packages(programs: Mapping[str, str], purpose: str) -> None:
    """Install the Debian packages of `programs` (program -> package) that are missing; only root on Debian may."""
    missing = sorted({package for program, package in programs.items() if not _find(program)})
    if not missing:
        return
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print(
            f"{purpose}: {', '.join(missing)} not installed; what needs them is skipped. As root: {' '.join(install)}"
        )
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "--quiet=2"], check=False, env=environment)
    result = subprocess.run(install, check=False, env=environment, stdout=subprocess.DEVNULL)
    if result.returncode:
        print(f"{purpose}: {' '.join(install)} failed, see above; what needs them is skipped")


def _find(program: str) -> str | None:
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def _create() -> None:
    """Create the environment; Debian keeps the module for that in a package of its own."""
    if subprocess.run([sys.executable, "-m", "venv", VENV], check=False, capture_output=True).returncode == 0:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    ensure_packages({"no program of this name": package}, "virtual environment")
    if subprocess.run([sys.executable, "-m", "venv", VENV], check=False, capture_output=True).returncode:
        sys.exit(f"cannot create {VENV} with {sys.executable}: install the package {package}, then try again")
