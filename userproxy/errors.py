"""The errors of userproxy: whose fault it is and what to do now, in one line.

Owns the exception tree and nothing else. Foreign exceptions are turned into these at the edge where they appear. Bugs are
not in the tree: they end the process with a traceback.
"""

from __future__ import annotations


class UserproxyError(Exception):
    """Any failure that a person can act on; its text is one line: what failed, why, what to do next."""

    exit_code = 1


class UsageError(UserproxyError):
    """The command line, environment or configuration is wrong. Fault of the caller; exit code 2."""

    exit_code = 2


class ApiError(UserproxyError):
    """The API server could not be reached or refused us. Retried while running; fatal only for bad credentials at start."""


class DecodeError(UserproxyError):
    """One object of the API server cannot be used. The object is skipped, named and counted."""


class CaptureError(UserproxyError):
    """The kernel or a rule program (nft, iptables) refused a capture change. Retried, shown by health."""


class ListenError(UserproxyError):
    """A listening socket could not be opened: address in use, or not permitted. Retried for Services, fatal for servers."""


class AgentError(UserproxyError):
    """No running agent answers, or not as expected. Told to the person at the command line."""


class StoreError(UserproxyError):
    """The data directory of the standalone API server cannot be used or written."""


class ManifestError(UserproxyError):
    """A manifest file is unusable. Names file, line and field; other files are not affected."""
