"""The facts that `userproxy check` looks at: of this host, of the API server, of the running agent.

Owns gathering them. What they mean is decided in `core.host_checks` and `core.cluster_checks`. Nothing is changed for
longer than a capture probe takes.
"""
