"""Where the API server listens and on what terms: plain HTTP, HTTPS or a unix socket, with a token or without.

Owns the listeners, the credentials that go with them and the kubeconfig that tells clients of both. What is answered is in
`server`. Beside a unix socket there is always a loopback port for the token's holders, as kubectl and our proxy cannot speak
to a socket. TLS is for ports only.
"""

from __future__ import annotations

import logging
import socket
import ssl
from pathlib import Path

from userproxy.errors import StoreError, UsageError
from userproxy.standalone.certificates import server_certificate
from userproxy.standalone.credentials import TOKEN, CredentialFiles
from userproxy.standalone.registry import Registry
from userproxy.standalone.server import UNIX, ApiServer, open_listener, parse_bind_address

log = logging.getLogger(__name__)

TOKEN_CHOICES = ("auto", "required", "none")


class ApiListeners:
    """The API server's doors. `open`, then `start`; `stop` closes everything and removes what was made for this process."""

    def __init__(
        self,
        bind_address: str,
        *,
        tls: bool = False,
        demand: str = TOKEN_CHOICES[0],
        data_directory: Path | None = None,
    ) -> None:
        """`bind_address` is host:port or unix:/path; `demand` one of TOKEN_CHOICES. Raises UsageError."""
        if demand not in TOKEN_CHOICES:
            raise UsageError(f"--api-token: {demand!r} is none of {', '.join(TOKEN_CHOICES)}")
        self._bind_address = bind_address
        self._tls = tls
        self._is_unix = bind_address.startswith(UNIX)
        self.needs_token = demand == "required" or (demand == "auto" and (tls or self._is_unix))
        self._data_directory = data_directory
        self._servers: list[ApiServer] = []
        self._files: CredentialFiles | None = None
        self.url = ""
        """What clients use; only after `open`."""
        self.kubeconfig = ""
        """Path of the kubeconfig, empty when there is none; only after `open`."""
        self.token = ""
        """What requests must show, empty for nothing; only after `open`."""
        self.authority = b""
        """PEM certificate that vouches for an HTTPS server; only after `open`."""

    @property
    def socket_path(self) -> str:
        """Path of the unix socket, empty without one."""
        return self._bind_address.removeprefix(UNIX) if self._is_unix else ""

    @property
    def only_with_kubeconfig(self) -> bool:
        """Whether the URL alone is not enough to be served there."""
        return self._tls or self._is_unix or self.needs_token

    @property
    def token_file(self) -> str:
        """Path of the file with the token, empty when there is none."""
        return str(self._files.directory / TOKEN) if self._files is not None else ""

    @property
    def kubectl_works(self) -> bool:
        """Whether kubectl is served with the kubeconfig: it keeps a token to itself over plain HTTP."""
        return bool(self.kubeconfig) and (self._tls or not self.only_with_kubeconfig)

    def open(self, registry: Registry) -> None:
        """Open the sockets and write the credentials; nothing is answered yet. Raises ListenError, UsageError, StoreError."""
        token, context, authority = self._credentials()
        listener = open_listener(self._bind_address)
        self._servers.append(
            ApiServer(
                registry,
                listener,
                token=token if self.needs_token else "",
                tls=None if self._is_unix else context,
            )
        )
        if self._is_unix:
            other = ApiServer(registry, open_listener("127.0.0.1:0"), token=token, tls=context)
            self._servers.append(other)
        self.url = f"{'https' if self._tls else 'http'}://{_reachable(self._servers[-1].address)}"
        self.token, self.authority = token if self.needs_token else "", authority
        if self._files is not None:
            self._files.write_kubeconfig(self.url, token, authority)
            self.kubeconfig = str(self._files.kubeconfig)

    def _credentials(self) -> tuple[str, ssl.SSLContext | None, bytes]:
        """Return token, TLS context and authority. Nothing of it is needed for plain HTTP, so there it may fail."""
        try:
            self._files = CredentialFiles(self._data_directory)
            token = self._files.token()
        except StoreError as fault:
            if self.only_with_kubeconfig:
                raise
            log.warning("there will be no kubeconfig: %s", fault)
            return "", None, b""
        if not self._tls:
            return token, None, b""
        context, authority = server_certificate(self._files.directory, self._names())
        return token, context, authority

    def _names(self) -> list[str]:
        """Return the names and addresses that the certificate is for."""
        names = ["localhost", "127.0.0.1", "::1", socket.gethostname().lower()]
        if self._is_unix:
            return names
        host, _port = parse_bind_address(self._bind_address)
        hosts = [names[-1]] if host in ("0.0.0.0", "::") else [host]
        for each in hosts:
            try:
                found = socket.getaddrinfo(each, None, type=socket.SOCK_STREAM)
            except OSError:
                continue
            names += [str(address[0]).partition("%")[0] for *_rest, address in found]
        return [*names, *(each.lower() for each in hosts)]

    async def start(self) -> None:
        """Begin to answer."""
        for server in self._servers:
            await server.start()
        log.info(
            "API server answers at %s", f"{self._bind_address} and {self.url}" if self._is_unix else self.url
        )

    async def stop(self) -> None:
        """End watches and requests, close every socket. May be called twice."""
        for server in self._servers:
            await server.stop()
        if self._files is not None:
            self._files.close()


def _reachable(address: str) -> str:
    """Return an address to connect to: a server on every address is found on loopback."""
    return address.replace("0.0.0.0:", "127.0.0.1:", 1).replace("[::]:", "[::1]:", 1)
