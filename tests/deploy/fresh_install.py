"""What a new user gets: the wheel, installed with the locked dependencies, runs. python3 -m tests.deploy.fresh_install

Owns the way from the source to a working demo in an environment of its own, as the image is built; nothing of this checkout is
on its path. A step of CI, for the minute that it takes; prints what it does and ends with 1 at the first failure.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.deploy.rendered import DEPLOY, ROOT
from tests.netns import namespace
from userproxy import __version__

SECONDS = 60.0


def main() -> None:
    """Install and try. Raises CalledProcessError, SystemExit."""
    with tempfile.TemporaryDirectory(prefix="userproxy-fresh-") as name:
        folder = Path(name)
        install(folder)
        program = folder / "venv" / "bin" / "userproxy"
        shown = run(str(program), "--version", cwd=folder)
        expect(__version__ in shown, f"the version is {shown.strip()}")
        expect((folder / "venv/share/man/man1/userproxy.1").exists(), "the man page is installed")
        with own_network() as before:
            checked = run(*before, str(program), "check", "--pre", "--output=json", cwd=folder, check=False)
            expect(
                '"host/kernel"' in checked or '"kernel"' in checked,
                "userproxy check --pre gives its findings",
            )
            try_demo(folder, (*before, str(program)), before)


def install(folder: Path) -> None:
    """Build the wheel through the sdist, and install it with what the lock holds and nothing else."""
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT))
    (wheel,) = folder.glob("*.whl")
    run(sys.executable, "-m", "venv", str(folder / "venv"))
    pip = (str(folder / "venv" / "bin" / "pip"), "--disable-pip-version-check", "--quiet", "install")
    run(*pip, "--require-hashes", "--only-binary=:all:", "--requirement", str(DEPLOY / "requirements.lock"))
    run(*pip, "--no-index", "--no-deps", str(wheel))
    run(str(folder / "venv" / "bin" / "pip"), "--disable-pip-version-check", "check")
    expect(True, f"{wheel.name} is installed with locked dependencies")


def try_demo(folder: Path, program: tuple[str, ...], before: tuple[str, ...]) -> None:
    """Start the demo, do what it says, stop it."""
    log = folder / "demo.log"
    with log.open("w") as file:
        demo = subprocess.Popen([*program, "standalone", "--demo"], cwd=folder, stdout=file, stderr=file)
    try:
        ends = time.monotonic() + SECONDS
        while not (found := re.search(r"(curl \S+http\S*|curl http\S+)", log.read_text())):
            expect(
                demo.poll() is None and time.monotonic() < ends,
                f"the demo starts: {log.read_text()}",
                quiet=True,
            )
            time.sleep(0.1)
        answer = run(*before, "curl", "--silent", "--max-time", "10", found[1].split()[-1])
        expect(answer.startswith("Hello from my-pod-"), f"{found[1]} says {answer.strip()}")
        demo.terminate()
        expect(demo.wait(SECONDS) == 0, "the demo ends well")
        expect("Traceback" not in log.read_text(), log.read_text(), quiet=True)
    finally:
        demo.kill()
        demo.wait()


@contextlib.contextmanager
def own_network() -> Iterator[tuple[str, ...]]:
    """Yield what stands before a command so that it runs in a network namespace of its own, where that is to be had."""
    if os.geteuid() != 0:
        yield ()
        return
    with namespace("fresh") as home:
        yield ("ip", "netns", "exec", home.name)


def run(*command: str, cwd: Path = ROOT, check: bool = True) -> str:
    """Run a program without anything of this checkout on its path; return its output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd=cwd, env=environment, check=False, capture_output=True, text=True)
    if check and done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def expect(fact: bool, text: str, *, quiet: bool = False) -> None:
    """Say what was found, or end here."""
    if not fact:
        sys.exit(f"not so: {text}")
    if not quiet:
        print(f"ok: {text}", flush=True)


if __name__ == "__main__":
    main()
