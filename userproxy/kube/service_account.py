"""Access to the API server as a Pod has it: the service account that Kubernetes mounts into it.

Owns what client-go does in a Pod (rest.InClusterConfig, k8s.io/client-go 1.36, rest/config.go), and is as strict as
kubernetes_asyncio about an authority that is missing. That package is not used for it: importing it costs 0.3 s and 38 MiB, in
every node's agent.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from userproxy.errors import UsageError
from userproxy.kube.access import (
    Access,
    checked_authorization,
    checked_proxy,
    checked_server,
    stamps,
    tls_context,
)
from userproxy.kube.environment_proxy import proxy_for


def read_service_account(folder: Path, environ: Mapping[str, str]) -> Access:
    """Return the access that Kubernetes gives to a Pod; raise UsageError outside of one, and when it cannot be used."""
    host, port = (environ.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT"))
    if not host:
        raise UsageError(
            "no API server to watch: not running in a Pod (KUBERNETES_SERVICE_HOST is not set); "
            "give --kubeconfig FILE or --master URL"
        )
    where = f"service account in {folder}"
    if not port:
        raise UsageError(f"the {where} cannot be used: KUBERNETES_SERVICE_PORT is not set")
    server = checked_server(f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}", where)
    token_file, ca_file = folder / "token", folder / "ca.crt"
    # Before they are read, so that a change meanwhile is seen as one.
    files = stamps([str(token_file), str(ca_file)])
    token = _token(token_file, where)
    try:
        tls = tls_context(str(ca_file), None, None, verify=True)
    except OSError as error:
        raise UsageError(f"the {where} cannot be used: {ca_file}: {error.strerror}") from None
    header = checked_authorization(f"Bearer {token}", where)
    return Access(server, header, tls, proxy=checked_proxy(proxy_for(server, environ), where), files=files)


def _token(file: Path, where: str) -> str:
    try:
        token = file.read_text().strip()
    except UnicodeDecodeError:
        raise UsageError(f"the {where} cannot be used: {file}: not text") from None
    except OSError as error:
        raise UsageError(f"the {where} cannot be used: {file}: {error.strerror}") from None
    if not token:
        raise UsageError(f"the {where} cannot be used: {file}: empty")
    return token
