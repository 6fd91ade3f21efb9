"""Running nft and iptables, with what they read given on standard input.

Owns processes, their deadline and the wording of their failures. Knows nothing of what the programs do.
"""

from __future__ import annotations

import asyncio
import os
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
    program = arguments[0]
    pipe = asyncio.subprocess.PIPE
    try:
        with _memory_file(stdin) as source:
            process = await asyncio.create_subprocess_exec(
                *arguments, stdin=source, stdout=pipe, stderr=pipe, env={**os.environ, "LC_ALL": "C"}
            )
    except FileNotFoundError as error:
        path = os.environ.get("PATH", "")
        raise ProgramMissing(
            f"no {program} program in PATH ({path}): install it or add its folder"
        ) from error
    except OSError as error:
        raise CaptureError(f"cannot run {program}: {error.strerror}") from error
    try:
        async with asyncio.timeout(_TIMEOUT):
            output, errors = await process.communicate()
    except TimeoutError as error:
        raise CaptureError(f"{program} did not end within {_TIMEOUT:.0f} s and was killed") from error
    finally:
        await _end(process)
    if process.returncode != 0:
        raise CaptureError(failure(arguments, errors.decode(errors="replace"), process.returncode))
    return output.decode(errors="replace")


def _memory_file(text: str) -> BinaryIO:
    # Not a pipe: uvloop fails to write into a pipe whose reader has ended already.
    source = os.fdopen(os.memfd_create("stdin"), "w+b")
    source.write(text.encode())
    source.seek(0)
    return source


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.communicate()


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
