"""Which HTTP proxy of the environment a request goes through, by the rules of kubectl (Go's http.ProxyFromEnvironment).

Owns HTTP_PROXY, HTTPS_PROXY and NO_PROXY. aiohttp's own reading (`trust_env`) is not used: it sends loopback addresses to the
proxy, knows no networks in NO_PROXY, and adds passwords found in ~/.netrc to requests.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

import yarl


def proxy_for(server: str, environ: Mapping[str, str]) -> str:
    """Return the URL of the proxy for `server` (a valid URL), or an empty text for none."""
    url = yarl.URL(server)
    host = (url.host or "").rstrip(".").lower()
    name = "HTTPS_PROXY" if url.scheme == "https" else "HTTP_PROXY"
    proxy = environ.get(name) or environ.get(name.lower()) or ""
    if not proxy or host == "localhost" or _is_loopback(host):
        return ""
    exceptions = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    if any(_matches(entry.strip().lower(), host, url.port) for entry in exceptions.split(",")):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _matches(entry: str, host: str, port: int | None) -> bool:
    """Whether one entry of NO_PROXY covers the host: `*`, an address, a network, a domain, each with `:port` or without."""
    if not entry:
        return False
    if entry == "*":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if address is not None and "/" in entry:
        try:
            return address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    name, colon, number = entry.rpartition(":")
    if colon and number.isdigit() and (":" not in name or name.endswith("]")):
        if int(number) != port:
            return False
        entry = name
    entry = entry.strip("[]")
    if address is not None:
        return entry == str(address)
    # A leading dot (or `*.`) covers subdomains only, a bare name itself too.
    if entry.startswith("*."):
        entry = entry[1:]
    return host.endswith(entry) if entry.startswith(".") else host == entry or host.endswith("." + entry)
