"""What a client needs to use the API server: the token, and a kubeconfig that holds it.

Owns the files and their modes (0600: whoever reads them may change every Service) and where they lie. With a data directory
they stay from run to run, so that other machines go on with their copy; else they go with the process.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from userproxy.errors import StoreError

KUBECONFIG, TOKEN = "kubeconfig", "token"
_NAME = "userproxy"
_SHAPE = re.compile(r"[A-Za-z0-9_-]{32,128}")


class CredentialFiles:
    """The directory of the credentials. `close` removes it when it was made for this process alone."""

    def __init__(self, data_directory: Path | None, environ: Mapping[str, str] = os.environ) -> None:
        """`data_directory` must exist; None makes a private directory below XDG_RUNTIME_DIR or the temporary one.

        Raises StoreError.
        """
        # absolute, as what is printed of it is copied into other shells
        chosen = data_directory or _private_directory(environ.get("XDG_RUNTIME_DIR", ""))
        self.directory = chosen.absolute()
        self._passing = data_directory is None

    @property
    def kubeconfig(self) -> Path:
        """Where the kubeconfig is, or will be."""
        return self.directory / KUBECONFIG

    def token(self) -> str:
        """Return the token of this directory, made on first use. Raises StoreError."""
        file = self.directory / TOKEN
        try:
            known = file.read_text(encoding="ascii").strip()
        except (FileNotFoundError, UnicodeDecodeError):
            known = ""
        except OSError as fault:
            raise StoreError(
                f"token {file} cannot be read: {fault.strerror}; remove it to get a new one"
            ) from fault
        if _SHAPE.fullmatch(known):
            return known
        token = secrets.token_urlsafe(32)
        write_private(file, f"{token}\n".encode())
        return token

    def write_kubeconfig(self, server: str, token: str, authority: bytes = b"") -> None:
        """Write the kubeconfig; `authority` is the PEM certificate of an HTTPS server. Raises StoreError."""
        write_private(self.kubeconfig, kubeconfig(server, token, authority))

    def close(self) -> None:
        """Remove what nobody can use any more. May be called twice."""
        if self._passing:
            shutil.rmtree(self.directory, ignore_errors=True)


def kubeconfig(server: str, token: str, authority: bytes = b"") -> bytes:
    """Return a kubeconfig with one context; it is JSON, which is YAML."""
    cluster = {"server": server}
    if authority:
        cluster["certificate-authority-data"] = base64.b64encode(authority).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": _NAME, "cluster": cluster}],
        "users": [{"name": _NAME, "user": {"token": token}}],
        "contexts": [{"name": _NAME, "context": {"cluster": _NAME, "user": _NAME, "namespace": "default"}}],
        "current-context": _NAME,
    }
    return json.dumps(config, indent=2).encode() + b"\n"


def write_private(file: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all. Raises StoreError."""
    try:
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as fault:
        raise StoreError(
            f"{file} cannot be written: {fault.strerror}; check the directory's owner"
        ) from fault


def _private_directory(runtime_directory: str) -> Path:
    # XDG_RUNTIME_DIR may be that of another user, after su
    for parent in (runtime_directory, tempfile.gettempdir()):
        if not parent:
            continue
        try:
            return Path(tempfile.mkdtemp(prefix="userproxy-", dir=parent))
        except OSError as error:
            fault = error
    raise StoreError(
        f"no directory for the kubeconfig: {fault.strerror}; set TMPDIR to one that can be written, or give --data-dir"
    ) from fault
