"""Makes the virtual environment that the demo and the tests run in, on a machine with nothing but Python 3.11.

Owns `.venv` and the Debian packages that a step needs. Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
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
    try:
        print(f"installing the dependencies into {VENV}, once; half a minute", file=sys.stderr, flush=True)
        if not PYTHON.exists():
            _create()
        failed = subprocess.run(pip, check=False).returncode != 0
    except KeyboardInterrupt:
        print("stopped; the next start goes on with it", file=sys.stderr)
        sys.exit(130)
    if failed:
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


def ensure_extracted(program: str, package: str, purpose: str) -> None:
    """Take one program out of a Debian package and put it into the environment, where the whole package would start a service.

    Needs no root. `program` must need nothing else of the package.
    """
    target = VENV / "bin" / program
    if _find(program) or target.exists() or not shutil.which("apt-get"):
        return
    download = f"apt-get download --quiet=2 {package}"
    with tempfile.TemporaryDirectory() as folder:
        get = f"{download} || {{ apt-get update --quiet=2 && {download}; }} && dpkg-deb --extract *.deb ."
        if subprocess.run(["sh", "-c", get], cwd=folder, check=False, capture_output=True).returncode:
            print(f"{purpose}: apt-get download {package} failed; what needs {program} is skipped")
            return
        shutil.move(Path(folder, "usr", "bin", program), target)


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
