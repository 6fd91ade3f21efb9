"""The admin edge: HTTP servers for probes (`health`) and for people and scrapers (`metrics`).

Reads everything through `sources.Sources`, which `app` fills; never imports the reconcile loop, kube, capture or dataplane.
A request never changes anything.
"""
