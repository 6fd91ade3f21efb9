"""Running nft and iptables, with what they read given on standard input.

Owns processes, their deadline and the wording of their failures. Knows nothing of what the programs do.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from typing import BinaryIO

from userproxy.errors import CaptureError

NOT_PERMITTED = "run as root or with CAP_NET_ADMIN"

_TIMEOUT = 30.0
"""Seconds. 10,000 entries take below one; xtables waits for its lock inside this time."""


class ProgramMissing(CaptureError):
    """A program is not in PATH."""


async def run(arguments: list[str], stdin: str = "") -> str:
    """Run a program to its end and return its standard output.

    Raises ProgramMissing when it is not in PATH, else CaptureError with the first line it wrote to standard error when it
    fails or takes more than 30 s. It is killed when the caller is cancelled.
    """
    with _memory_file(stdin) as source, _memory_file() as output, _memory_file() as errors:
        process = _start(arguments, source, output, errors)
        try:
            async with asyncio.timeout(_TIMEOUT):
                status = await asyncio.to_thread(process.wait)
        except TimeoutError as error:
            raise CaptureError(
                f"{arguments[0]} did not end within {_TIMEOUT:.0f} s and was killed"
            ) from error
        finally:
            if process.returncode is None:
                process.kill()
                await asyncio.to_thread(process.wait)
        if status != 0:
            raise CaptureError(failure(arguments, _text(errors), status))
        return _text(output)


def _start(
    arguments: list[str], source: BinaryIO, output: BinaryIO, errors: BinaryIO
) -> subprocess.Popen[bytes]:
    # Not asyncio's: uvloop forks, and copying the page tables of 10,000 Services held the event loop for 20 ms, where vfork(2),
    # which subprocess takes, needs 2.
    try:
        return subprocess.Popen(
            arguments,
            stdin=source,
            stdout=output,
            stderr=errors,
            env={**os.environ, "LC_ALL": "C"},
            # exec closes them (PEP 446); one by one, those of 10,000 listeners took most of the time.
            close_fds=False,
        )
    except FileNotFoundError as error:
        path = os.environ.get("PATH", "")
        raise ProgramMissing(
            f"no {arguments[0]} program in PATH ({path}): install it or add its folder"
        ) from error
    except OSError as error:
        raise CaptureError(f"cannot run {arguments[0]}: {error.strerror}") from error


def _memory_file(text: str = "") -> BinaryIO:
    # Not a pipe: nobody has to read and write while the program runs.
    file = os.fdopen(os.memfd_create("userproxy"), "w+b")
    file.write(text.encode())
    file.seek(0)
    return file


def _text(file: BinaryIO) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def failure(arguments: list[str], errors: str, status: int | None) -> str:
    """Return one line for a failed program: its command line, why, and what to do when rights are missing."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    # iptables-nft warns about legacy tables first, nft points at the place in the script below its first line.
    lines = [line for line in lines if not line.startswith(("#", "Warning:"))]
    reason = lines[0] if lines else f"exit status {status}"
    command = " ".join(arguments)
    if any("ermission denied" in line or "not permitted" in line for line in lines):
        return f"{command}: {reason}: {NOT_PERMITTED}"
    return f"{command}: {reason}"
