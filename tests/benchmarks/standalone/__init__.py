"""Benchmark of `userproxy standalone`: writes through its API, long lists, and from a Pod's readiness to the proxy."""
