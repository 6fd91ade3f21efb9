"""What is compared: the names, units and directions of the numbers that workloads return, and one sample of them.

Owns the table that report and picture are made from. Measures nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

Values = dict[str, float]


@dataclass(frozen=True)
class Sample:
    """The numbers of one workload on one target in one round."""

    round: int
    workload: str
    target: str
    values: Values


@dataclass(frozen=True)
class Metric:
    """One number. `factor` turns what is stored into what is shown with `unit`."""

    workload: str
    name: str
    title: str
    unit: str
    higher_is_better: bool = False
    factor: float = 1.0
    pictured: bool = True


def _cpu(workload: str, unit: str, factor: float) -> tuple[Metric, Metric]:
    return (
        Metric(workload, "cpu", "machine CPU", unit, factor=factor),
        Metric(workload, "own_cpu", "CPU of the proxy's processes", unit, factor=factor, pictured=False),
    )


METRICS: tuple[Metric, ...] = (
    Metric("close", "rate", "new connections", "/s", higher_is_better=True),
    *_cpu("close", "µs each", 1e6),
    Metric("close", "p50_us", "p50 at full load", "µs", pictured=False),
    Metric("close", "p99_us", "p99 at full load", "µs", pictured=False),
    Metric("keepalive", "rate", "keep-alive requests", "/s", higher_is_better=True),
    *_cpu("keepalive", "µs each", 1e6),
    Metric("keepalive", "p99_us", "p99 at full load", "µs", pictured=False),
    Metric("latency", "p50_us", "p50 at half load", "µs"),
    Metric("latency", "p99_us", "p99 at half load", "µs"),
    Metric("latency", "p999_us", "p99.9 at half load", "µs"),
    Metric("latency", "load_rate", "load beside it", "/s", higher_is_better=True, pictured=False),
    Metric("latency", "load_p50_us", "p50 of the load", "µs", pictured=False),
    Metric("latency", "load_p99_us", "p99 of the load", "µs", pictured=False),
    Metric("latency", "load_p999_us", "p99.9 of the load", "µs", pictured=False),
    Metric("latency", "cpu", "machine CPU", "µs each", factor=1e6, pictured=False),
    Metric("bulk-down", "rate", "download", "GB/s", higher_is_better=True),
    *_cpu("bulk-down", "s/GB", 1.0),
    Metric("bulk-up", "rate", "upload", "GB/s", higher_is_better=True),
    *_cpu("bulk-up", "s/GB", 1.0),
    Metric("idle", "process_bytes", "process memory, idle connection", "B"),
    Metric("idle", "kernel_bytes", "kernel memory, idle connection", "B"),
    Metric("idle", "buffer_bytes", "socket buffers, idle connection", "B", pictured=False),
    Metric("idle", "empty_process_bytes", "process without connections", "MB", factor=1e-6, pictured=False),
    Metric("churn", "rate", "new connections while endpoints change", "/s", higher_is_better=True),
    Metric("churn", "changes", "changes of endpoints", "/s", higher_is_better=True, pictured=False),
    Metric("churn", "p99_us", "p99 while endpoints change", "µs", pictured=False),
    *(
        metric
        for workload, what in (("dns", "a port each"), ("dns-kept", "ports kept"))
        for metric in (
            Metric(workload, "rate", f"questions, {what}", "/s", higher_is_better=True),
            *_cpu(workload, "µs each", 1e6),
            Metric(workload, "p50_us", f"p50 of 50 at a time, {what}", "µs"),
            Metric(workload, "p99_us", f"p99 of 50 at a time, {what}", "µs"),
        )
    ),
    Metric("mixed", "p99_us", "p99 of short requests beside bulk", "µs"),
    Metric("mixed", "p999_us", "p99.9 of short requests beside bulk", "µs", pictured=False),
    Metric("mixed", "rate", "bulk beside short requests", "GB/s", higher_is_better=True),
)

FAULTS = ("errors", "wrong")
"""Numbers that must be zero: failed requests, and transfers with lost or changed bytes."""

DISTURBED = 0.02
"""Share of one core that the hypervisor may take away before a sample counts as disturbed."""
