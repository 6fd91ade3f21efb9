"""Readiness probes: what a kubelet does with `readinessProbe`, against the address that a Pod declares.

`declared` reads probes (pure), `verdict` turns results into readiness (pure), `attempt` asks one server once, `prober`
schedules all of them and writes the conditions of the Pods. No liveness or startup probes: nothing could be restarted.
"""
