"""Configuration texts of nginx (backend and stream) and HAProxy, all for the same two groups of endpoints.

Owns addresses and ports: several listening addresses for each target and eight endpoints on addresses of their own, so that the
number of ports between two addresses does not limit anything. Starts nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

Address: TypeAlias = tuple[str, int]

ENDPOINTS = 8
LISTEN_ADDRESSES = 4
WEB_PORT, SINK_PORT, DNS_PORT = 810, 830, 850

WEB_ENDPOINTS: tuple[Address, ...] = tuple((f"127.0.1.{n}", 800 + n) for n in range(1, ENDPOINTS + 1))
DNS_ENDPOINTS: tuple[Address, ...] = tuple((f"127.0.1.{n}", 840 + n) for n in range(1, ENDPOINTS + 1))
SINK_ENDPOINTS: tuple[Address, ...] = tuple((f"127.0.1.{n}", 820 + n) for n in range(1, ENDPOINTS + 1))

STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
PAGE_BODY = b"hello world\n"
OBJECT_PATH = "/object"


def listening(number: int, port: int) -> tuple[Address, ...]:
    """Return where target `number` (2 and up) listens for one group of endpoints."""
    return tuple((f"127.0.{number}.{n}", port) for n in range(1, LISTEN_ADDRESSES + 1))


def nginx_backend(folder: Path) -> str:
    """Return the configuration of the web endpoints: a short page at /, an object of the pattern at OBJECT_PATH."""
    listen = " ".join(f"listen {host}:{port} backlog=4096;" for host, port in WEB_ENDPOINTS)
    page = PAGE_BODY.decode().rstrip("\n")
    return f"""{_nginx_head(folder, "backend")}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; default_type text/plain;
  server {{ {listen}
    location = / {{ return 200 "{page}\\n"; }}
    location / {{ root {folder}/www; }}
  }}
}}
"""


def nginx_stream(folder: Path, number: int) -> str:
    """Return the configuration of nginx as a TCP proxy with one worker, round robin."""
    groups = (("web", WEB_PORT, WEB_ENDPOINTS), ("sink", SINK_PORT, SINK_ENDPOINTS))
    parts = []
    for name, port, endpoints in groups:
        servers = " ".join(f"server {host}:{port};" for host, port in endpoints)
        listen = " ".join(f"listen {host}:{port} backlog=4096;" for host, port in listening(number, port))
        parts.append(
            f"  upstream {name} {{ {servers} }}\n  server {{ {listen} proxy_pass {name}; proxy_half_close on; }}\n"
        )
    return f"load_module {STREAM_MODULE};\n{_nginx_head(folder, 'stream')}\nstream {{\n{''.join(parts)}}}\n"


def nginx_dns(folder: Path, number: int) -> str:
    """Return the configuration of nginx as a UDP proxy with one worker, round robin, for questions with one answer each."""
    servers = " ".join(f"server {host}:{port};" for host, port in DNS_ENDPOINTS)
    head = _nginx_head(folder, "dns").replace("worker_connections 16384", "worker_connections 60000")
    return f"""load_module {STREAM_MODULE};
{head}
stream {{
  upstream dns {{ {servers} }}
  server {{ listen 127.0.{number}.1:{DNS_PORT} udp; proxy_pass dns; proxy_responses 1; proxy_timeout 5s; }}
}}
"""


def haproxy(number: int, control_socket: Path) -> str:
    """Return the configuration of HAProxy in TCP mode with one thread, round robin."""
    text = f"""global
  nbthread 1
  maxconn 4000
  stats socket {control_socket} mode 600 level admin
defaults
  mode tcp
  option splice-auto
  timeout connect 5s
  timeout client 600s
  timeout server 600s
"""
    for name, port, endpoints in (("web", WEB_PORT, WEB_ENDPOINTS), ("sink", SINK_PORT, SINK_ENDPOINTS)):
        bind = "".join(f"  bind {host}:{port} backlog 4096\n" for host, port in listening(number, port))
        servers = "".join(f"  server s{i} {host}:{port}\n" for i, (host, port) in enumerate(endpoints))
        text += f"frontend f-{name}\n{bind}  default_backend {name}\nbackend {name}\n  balance roundrobin\n{servers}"
    return text


def _nginx_head(folder: Path, name: str) -> str:
    return (
        f"worker_processes 1; worker_rlimit_nofile 65536; daemon off; pid {folder}/{name}.pid; "
        f"error_log {folder}/{name}.log;\nevents {{ worker_connections 16384; }}"
    )
