"""Reads credentials from a kubeconfig file, with kubernetes_asyncio's loader.

Owns the use of that package, which is imported only when needed (it costs 38 MiB of memory): its loader serves, its clients,
models and Watch do not. Owns also the gaps filled around the loader: secrets kept out of messages and off the disk, a bound on
the run time of exec plugins, and the list of files whose change means that all must be read again.
"""

from __future__ import annotations

import asyncio
import atexit
import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

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

EXEC_PLUGIN_SECONDS = 30
"""How long an exec plugin may run; kubectl has no bound, but a daemon must not wait for ever."""

_LOADER_ERRORS = (OSError, ValueError, TypeError, KeyError, AttributeError, AssertionError)


async def read_kubeconfig(path: str, master: str, environ: Mapping[str, str]) -> Access:
    """Return the access that the current context of a kubeconfig describes; `master` replaces its server.

    Raise UsageError when the file, or what it points to, cannot be used.
    """
    from kubernetes_asyncio.client import Configuration
    from kubernetes_asyncio.config import ConfigException
    from kubernetes_asyncio.config.kube_config import KubeConfigLoader, KubeConfigMerger

    before = stamps([path])
    where = f"kubeconfig {path}"
    try:
        _demand_file(path)
        merged = KubeConfigMerger(path).config
        _bound_exec_plugins(merged)
        token_files = _token_files(merged, path)
        before += stamps(token_files)
        loader = KubeConfigLoader(config_dict=merged, config_base_path=None)
        if loader.provider:
            raise UsageError(
                f"{where}: auth-provider {loader.provider} is not supported; "
                "use an exec plugin, a token or a client certificate"
            )
        configuration = Configuration()
        with _files_of_the_loader() as made:
            async with asyncio.timeout(EXEC_PLUGIN_SECONDS + 10):
                await loader.load_and_set(configuration)
            expires = getattr(loader, "exec_plugin_expiry", None)
            access = _access(
                configuration, master, where, before, environ, expires.timestamp() if expires else None
            )
            kept = tuple(stamp for stamp in access.files if stamp[0] not in made())
        return dataclasses.replace(access, files=kept)
    except UsageError:
        raise
    except (*_LOADER_ERRORS, ConfigException, yaml.YAMLError) as error:
        # `from None`: the text of these exceptions can hold whole parts of the file, tokens included.
        raise UsageError(
            f"{where} cannot be used: {_reason(error)}; repair it or name another with --kubeconfig"
        ) from None


def _access(
    configuration: Any,
    master: str,
    where: str,
    before: tuple[tuple[str, int, int, int], ...],
    environ: Mapping[str, str],
    expires: float | None,
) -> Access:
    """Turn the loader's Configuration into a value; raise UsageError, OSError."""
    server = checked_server(master or configuration.host, "--master" if master else where)
    ca_file, cert_file = configuration.ssl_ca_cert, configuration.cert_file
    named = [path for path in (ca_file, cert_file, configuration.key_file) if path]
    known = {stamp[0] for stamp in before}
    files = before + stamps(path for path in named if path not in known)
    tls = None
    if server.startswith("https"):
        tls = tls_context(ca_file, cert_file, configuration.key_file, verify=bool(configuration.verify_ssl))
    return Access(
        server,
        checked_authorization(configuration.api_key.get("BearerToken", ""), where),
        tls,
        configuration.tls_server_name or "",
        checked_proxy(configuration.proxy or proxy_for(server, environ), where),
        files,
        expires,
    )


@contextmanager
def _files_of_the_loader() -> Iterator[Callable[[], set[str]]]:
    """Remove at the end the files that the loader makes of certificates and keys inside a kubeconfig; yields what tells them.

    The loader keeps them, and a descriptor of each, to the end of the process: with keys that rotate ever more of them, and
    after a kill the keys stay on the disk. What was read of them serves from memory.
    """
    from kubernetes_asyncio.config import kube_config

    def made() -> set[str]:
        return set(kube_config._temp_files.values())

    try:
        yield made
    finally:
        files = made()
        for descriptor in Path("/proc/self/fd").iterdir() if files else ():
            with suppress(OSError):  # the descriptor of this listing is closed by now
                if str(descriptor.readlink()) in files:
                    os.close(int(descriptor.name))
        kube_config._cleanup_temp_files()
        atexit.unregister(kube_config._cleanup_temp_files)


def _demand_file(path: str) -> None:
    with Path(path).open("rb"):
        pass


def _users(merged: Any) -> list[dict[str, Any]]:
    """Return the settings of every user in a merged kubeconfig (each entry is the loader's ConfigNode)."""
    found = [entry.value.get("user") for entry in merged.value["users"] if isinstance(entry.value, dict)]
    return [user for user in found if isinstance(user, dict)]


def _token_files(merged: Any, path: str) -> list[str]:
    folder = Path(path).absolute().parent
    names = [user.get("tokenFile") for user in _users(merged)]
    return [str(folder / name) for name in names if isinstance(name, str) and name]


def _bound_exec_plugins(merged: Any) -> None:
    """Let coreutils' timeout run the exec plugins: the loader neither bounds them nor ends them when it is cancelled."""
    timeout = shutil.which("timeout", path=os.defpath)
    for user in _users(merged):
        plugin = user.get("exec")
        if timeout and isinstance(plugin, dict) and isinstance(plugin.get("command"), str):
            arguments = [str(argument) for argument in plugin.get("args") or []]
            plugin["args"] = ["--kill-after=5", str(EXEC_PLUGIN_SECONDS), plugin["command"], *arguments]
            plugin["command"] = timeout


def _reason(error: Exception) -> str:
    """Return one line that says what is wrong and holds no secret."""
    if isinstance(error, yaml.YAMLError):
        # The mark's own text quotes the file.
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}" if mark else ""
        return f"it is not YAML: {getattr(error, 'problem', None) or 'syntax error'}{place}"
    if isinstance(error, TimeoutError):
        return f"its exec plugin did not end within {EXEC_PLUGIN_SECONDS} s"
    if isinstance(error, OSError):
        return error.strerror or str(error)[:200]
    if isinstance(error, _LOADER_ERRORS):
        return "it is incomplete or malformed; it needs clusters, users, contexts and current-context"
    # The loader's messages name the place by quoting the dict found there: everything from the first brace on is cut.
    return " ".join(str(error).partition("{")[0].split())[:200]
