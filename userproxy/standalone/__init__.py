"""Kubernetes Services without Kubernetes: an API server, its store, manifests and a demo, in one process.

`session.Standalone` is the door; `summary` makes the table of Services. Reading order: kinds, schema, store, registry,
api, watching, server, manifests, session. Nothing here knows the proxy, which is a client of this server like any other.
"""
