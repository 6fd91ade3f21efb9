"""The files of the live page, and the headers under which a browser may use them.

Owns paths, types and the content security policy: nothing from elsewhere, no script or style within the page's text, nothing
that frames it. What the page shows comes from `/live` and is put there as text only.
"""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from userproxy.admin.server import NOSNIFF

_FOLDER = Path(__file__).parent / "page"

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)

_HEADERS = {
    **NOSNIFF,
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # The files change with the program, which restarts on the same address.
    "Cache-Control": "no-cache",
}

FILES: dict[str, tuple[str, str]] = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/services.js": ("services.js", "text/javascript"),
    "/events.js": ("events.js", "text/javascript"),
    "/charts.js": ("charts.js", "text/javascript"),
    "/dom.js": ("dom.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""Paths with the file behind each and its type."""


def read_files() -> dict[str, bytes]:
    """Return the content of each path of FILES."""
    return {path: (_FOLDER / name).read_bytes() for path, (name, _) in FILES.items()}


def file_response(path: str, content: bytes) -> web.Response:
    """Return the answer to a GET of `path`."""
    return web.Response(body=content, content_type=FILES[path][1], charset="utf-8", headers=_HEADERS)
