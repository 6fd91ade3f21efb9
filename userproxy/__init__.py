"""userproxy makes Kubernetes Services work on a node in userspace.

The way data flows, always in one direction:

    API server -> kube (reflector) -> decode -> core.table -> core.topology -> core.plan
    plan --+--> listeners opened and closed, endpoints handed over   (dataplane)
           +--> redirect map, local routes, loopback addresses       (capture)
    client -> listener -> balancer.pick -> dial -> relay -> counters -> admin (metrics, status, health)

Layers, imports go downward only:

    cli > app > agent, check, connectivity > config, reconcile > {kube, capture, dataplane, admin, standalone} >
    edges > core > api_objects > model, errors, logs, setting

The edges in braces do not import each other, and core does no input or output, reads no clock and draws no random number.
`edges` has the Protocols that the loop in `reconcile` asks of them. Beside core, `files` reads YAML and notices changed
files for whoever needs it.
Reading order: model, api_objects, core.table, core.topology, core.plan, core.balancer, reconcile, dataplane.connection, agent,
app.
"""

__version__ = "0.1.0"
