"""Certificates for tests, made on the spot by the openssl program.

Owns a small authority: its own certificate, one for a server on 127.0.0.1 and one for a client.
"""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest


class Authority:
    """An authority in a folder of its own."""

    def __init__(self, folder: Path, name: str) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("the openssl program is not installed (apt-get install openssl)")
        folder.mkdir()
        self.folder = folder
        self.ca = folder / "ca.crt"
        self._run(
            "req",
            "-x509",
            *NEW_KEY,
            "-keyout",
            "ca.key",
            "-out",
            "ca.crt",
            "-subj",
            f"/CN={name}",
            "-days",
            "2",
        )
        self.server = self._issue("server", "subjectAltName=IP:127.0.0.1")
        self.client = self._issue("client", "extendedKeyUsage=clientAuth")

    def server_context(self, *, demand_client: bool = False) -> ssl.SSLContext:
        """Return the TLS context of a server that this authority vouches for."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self.server)
        if demand_client:
            context.load_verify_locations(self.ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _issue(self, name: str, extension: str) -> tuple[Path, Path]:
        self._run("req", *NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (self.folder / f"{name}.ext").write_text(extension)
        self._run(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-set_serial", "7"),
            *("-extfile", f"{name}.ext", "-out", f"{name}.crt", "-days", "2"),
        )
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"

    def _run(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True, timeout=30)


NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-sha256")
