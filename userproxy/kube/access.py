"""What is needed to talk to one API server: its URL, the Authorization header, TLS settings and proxy, as one value.

Owns that value, the check of server URLs and the making of TLS contexts. Where the parts come from is `kube.kubeconfig`'s,
when they are renewed is `kube.credentials`'.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import yarl

from userproxy.errors import UsageError
from userproxy.kube.environment_proxy import proxy_for

FileStamp = tuple[str, int, int, int]
"""Path, modification time (ns), inode and size of a file; zeros when it does not exist."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach the API server. Secrets are not in its repr.

    `files` are the files the parts were read from, as they were before reading: a difference means that they must be read
    again. `expires` is when the token ends, in seconds since the epoch, None when unknown.
    """

    server: str
    authorization: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    tls_server_name: str = ""
    proxy: str = field(default="", repr=False)
    files: tuple[FileStamp, ...] = ()
    expires: float | None = None


def checked_server(server: str, where: str) -> str:
    """Return the URL of a server without a final slash; raise UsageError, naming `where` it came from."""
    try:
        url = yarl.URL(server)
        usable = url.scheme in ("http", "https") and bool(url.host) and url.port is not None
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(
            f"{where}: not the URL of a server; write http://HOST:PORT or https://HOST:PORT"
        ) from None
    if url.user is not None or url.password is not None:
        raise UsageError(
            f"{where}: a user and password in the URL are not supported; put them in a kubeconfig"
        )
    return server.rstrip("/")


def checked_proxy(proxy: str, where: str) -> str:
    """Return the URL of an HTTP proxy, empty for none; raise UsageError, naming `where`, never its text."""
    if not proxy:
        return ""
    try:
        url = yarl.URL(proxy)
        usable = url.scheme in ("http", "https") and bool(url.host)
    except ValueError:
        usable = False
    if not usable:
        text = f"{where}: the proxy is not an http:// or https:// URL (SOCKS is not supported); set NO_PROXY to go without"
        raise UsageError(text) from None
    return proxy


def checked_authorization(header: str, where: str) -> str:
    """Return an Authorization header fit for HTTP; raise UsageError, naming `where` it came from, never its text."""
    # Token files often end in a newline, which the loaders pass on.
    header = header.strip()
    if not header.isascii() or not header.isprintable():
        raise UsageError(f"{where}: the token holds characters that no token can have; is it the right file?")
    return header


def tls_context(
    ca_file: str | None, cert_file: str | None, key_file: str | None, *, verify: bool
) -> ssl.SSLContext:
    """Return a client context; without `ca_file` the system's authorities count. Raise OSError (ssl.SSLError is one)."""
    context = ssl.create_default_context(cafile=ca_file)
    # Python 3.13 began to demand key identifiers that many cluster authorities lack; Go and older Pythons do not.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if cert_file:
        context.load_cert_chain(cert_file, key_file)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def access_with_token(server: str, token: str, authority: bytes) -> Access:
    """Return access to a server whose URL, token and PEM certificate are at hand; empty ones are not needed there."""
    tls = None
    if server.startswith("https"):
        tls = ssl.create_default_context(cadata=authority.decode("ascii") or None)
        tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return Access(server, f"Bearer {token}" if token else "", tls)


def stamps(paths: Iterable[str]) -> tuple[FileStamp, ...]:
    """Return how the files look now; secrets mounted by Kubernetes are symbolic links, which are followed."""
    found: list[FileStamp] = []
    for path in paths:
        try:
            about = os.stat(path)  # noqa: PTH116 - one system call; Path would parse the text first
            found.append((path, about.st_mtime_ns, about.st_ino, about.st_size))
        except OSError:
            found.append((path, 0, 0, 0))
    return tuple(found)


def plain_access(master: str, environ: Mapping[str, str]) -> Access:
    """Return access by URL alone, without credentials; https is checked against the system's authorities."""
    where = f'--master "{_shown(master)}"'
    server = checked_server(master, where)
    tls = tls_context(None, None, None, verify=True) if server.startswith("https") else None
    return Access(server, tls=tls, proxy=checked_proxy(proxy_for(server, environ), where))


def _shown(master: str) -> str:
    """Return the text of an option for a message, without anything that could be a password."""
    return master.rpartition("@")[2][:100]
