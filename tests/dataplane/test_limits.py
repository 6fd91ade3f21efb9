"""The descriptor limit is raised as far as it may be."""

from __future__ import annotations

import resource

from userproxy.dataplane.limits import descriptor_limit


def test_the_descriptor_limit_is_raised() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1000, hard), hard))
    try:
        assert descriptor_limit() == max(16, (hard - 256) // 2)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
