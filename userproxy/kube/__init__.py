"""The API server side: watches Services, EndpointSlices and our own Node, and delivers what changes as model values.

`cluster.Cluster` is all that the rest of the program uses. Owns credentials, HTTP, list and watch, and the field names of
Kubernetes objects; it does not merge objects (`core.table`) and never writes to the API server.
"""
