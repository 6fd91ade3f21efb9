"""What a process that serves a large store sets for itself, once: how often Python looks for garbage, how it shares its lock.

Owns these two settings of the whole process, so it is for programs to call, never for parts of them.
"""

from __future__ import annotations

import gc
import sys


def tune() -> None:
    """Set both."""
    # a large store is millions of objects that live on, and hardly any of them is ever garbage that refers to itself
    gc.set_threshold(50_000, 50, 200)
    # a commit is waited for by those whose writes it holds: its thread shall not wait 5 ms for the lock at each step
    sys.setswitchinterval(0.0005)
