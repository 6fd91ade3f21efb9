"""Manifests that several tests give to `userproxy standalone`.

Owns their text only.
"""

from __future__ import annotations


def endpoint_slice(service: str) -> str:
    """Return a document with the one endpoint of a Service, 127.0.9.1:8080."""
    return f"""
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {service}-1, labels: {{kubernetes.io/service-name: {service}}}}}
addressType: IPv4
ports: [{{port: 8080}}]
endpoints: [{{addresses: [127.0.9.1]}}]
"""
