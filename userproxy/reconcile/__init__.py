"""The one loop that writes: snapshot -> plan -> apply in safe order -> record.

Owns every change of data plane and capture. Decides nothing: `core.plan` does.
"""
