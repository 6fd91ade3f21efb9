"""The objects of the benchmark: Services with a selector, Pods behind them, and the two Pods that real servers stand for."""

from __future__ import annotations

from typing import Any

from tests.benchmarks.standalone.client import STRATEGIC_TYPE, request

SERVICES = "/api/v1/namespaces/default/services"
PODS = "/api/v1/namespaces/default/pods"
PROBED_IP = "10.111.255.1"
BACKENDS = ("127.0.20.1", "127.0.20.2")
BACKEND_PORT = 8080


def service(name: str, **more: Any) -> bytes:
    """The request that makes a Service of the Pods with the label app=NAME."""
    ports = [{"name": "http", "port": 80, "targetPort": BACKEND_PORT}]
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"selector": {"app": name}, "ports": ports, **more},
    }
    return request("POST", SERVICES, body)


def pod(name: str, app: str, address: str) -> bytes:
    """The request that declares a Pod that runs."""
    container = {"name": "c", "image": "none", "ports": [{"containerPort": BACKEND_PORT}]}
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": app}},
        "spec": {"containers": [container]},
        "status": {"phase": "Running", "podIP": address},
    }
    return request("POST", PODS, body)


def pod_address(number: int) -> str:
    """An address that nobody connects to."""
    return f"10.{20 + number // 65536}.{number // 256 % 256}.{number % 256}"


def readiness(name: str, ready: bool) -> bytes:
    """The request by which a kubelet tells the readiness of a Pod."""
    conditions = [{"type": "Ready", "status": str(ready)}]
    return request("PATCH", f"{PODS}/{name}/status", {"status": {"conditions": conditions}}, STRATEGIC_TYPE)
