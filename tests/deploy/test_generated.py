"""Files made from the code or from other files are what they are made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.generate import GENERATED
from tests.deploy.rendered import DEPLOY, needs_kubectl


@needs_kubectl
@pytest.mark.parametrize("path", GENERATED, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_the_file_is_what_it_is_made_from(path: Path) -> None:
    assert path.read_text() == GENERATED[path](), "run: python3 -m tests.deploy.generate"
