"""Benchmarks of userproxy: measured against HAProxy, nginx stream and no proxy at all, in interleaved rounds.

Not collected by pytest: nothing here decides whether a change lands. `python3 -m tests.benchmarks --help` says what there is.
The functions without a clock (ratios, report, picture, parsers) are tested in `tests/benchmarks_test`.
"""
