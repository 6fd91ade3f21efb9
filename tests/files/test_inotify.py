"""Changes in a directory are noticed, whatever way a program writes its files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from userproxy.files.inotify import DirectoryWatch


def overwrite(folder: Path) -> None:
    (folder / "file").write_text("new")


def replace(folder: Path) -> None:
    """As editors do."""
    (folder / ".new").write_text("new")
    (folder / ".new").rename(folder / "file")


def swap_link(folder: Path) -> None:
    """As the kubelet does with the files of a ConfigMap."""
    (folder / "..tmp").symlink_to("elsewhere")
    (folder / "..tmp").rename(folder / "..data")


def remove(folder: Path) -> None:
    (folder / "file").unlink()


@pytest.mark.parametrize("change", [overwrite, replace, swap_link, remove])
async def test_a_change_is_noticed(tmp_path: Path, change: Callable[[Path], None]) -> None:
    (tmp_path / "file").write_text("old")
    noticed = asyncio.Event()
    watch = DirectoryWatch(tmp_path, noticed.set)
    try:
        change(tmp_path)
        async with asyncio.timeout(10):
            await noticed.wait()
    finally:
        watch.close()
        watch.close()


async def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        DirectoryWatch(tmp_path / "nothing", lambda: None)
