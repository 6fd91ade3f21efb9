"""How packets for a frontend reach a listener: one module for each way, each with a probe that does the real thing.

`choose` picks a way, `cleanup` removes every trace of all of them. Nothing here knows of Kubernetes or of the data plane.
"""
