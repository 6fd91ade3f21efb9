"""The controllers of Services: EndpointSlices, Endpoints, mirrored slices and the removal of what a deleted Service owned.

Pure decisions are in `slices`, `endpoints`, `mirroring` and `garbage`: state in, writes out. `loop` feeds them from the changes
of a `cluster.Cluster` and carries their writes out; `in_process` and `over_http` are the two kinds of cluster.
"""
