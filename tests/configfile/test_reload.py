"""The file read again: what changes at once, what waits for a restart, and that a broken file changes nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.configfile.files import kube_proxy, own
from tests.dataplane.rig import until
from userproxy.config import Config
from userproxy.configfile.reload import Reloading, differences
from userproxy.configfile.source import SettingsSource
from userproxy.errors import UsageError


class Followed:
    """A file that is followed, and the Configs that were applied."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.applied: list[Config] = []
        self.refuse = ""
        self.reloading = Reloading(SettingsSource("run", str(file), {"keep_capture": True}).read(), 0.0)

    def apply(self, config: Config) -> None:
        if self.refuse:
            raise UsageError(self.refuse)
        self.applied.append(config)

    def replace(self, text: str) -> None:
        """As editors and the kubelet do it, so that nobody reads half a file."""
        new = self.file.with_suffix(".new")
        new.write_text(text)
        new.rename(self.file)


@asynccontextmanager
async def followed(folder: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Followed]:
    caplog.set_level(logging.INFO, "userproxy.configfile")
    file = folder / "config.yaml"
    file.write_text(own("noEndpoints: drop\nworkers: 1\n"))
    made = Followed(file)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(made.reloading.run(made.apply), name="configuration file")
        await asyncio.sleep(0)  # so that it watches
        yield made
        task.cancel()


async def test_a_change_is_applied_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with followed(tmp_path, caplog) as made:
        made.replace(own("noEndpoints: reject\nworkers: 4\nkeepCapture: false\n"))
        await until(lambda: len(made.applied) == 1)
        (config,) = made.applied
        assert (config.no_endpoints, config.workers, config.keep_capture) == ("reject", "1", True)
        assert caplog.messages[-1].endswith(
            "read again: changed noEndpoints to 'reject'; kept until a restart: workers"
        )


async def test_a_broken_file_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with followed(tmp_path, caplog) as made:
        for text, says in ((own("noEndpoint: reject\n"), "did you mean noEndpoints?"), ("", "no document")):
            made.replace(text)
            await until(lambda says=says: caplog.messages and says in caplog.messages[-1])
            assert caplog.messages[-1].endswith("; the settings stay as they were")
        made.file.unlink()
        await until(lambda: "cannot read" in caplog.messages[-1])
        made.refuse = "not possible here"
        made.replace(own("noEndpoints: reject\n"))
        await until(lambda: caplog.messages[-1] == "not possible here; the settings stay as they were")
        assert made.applied == []
        made.refuse = ""
        made.reloading.ask()
        await until(lambda: len(made.applied) == 1)


async def test_asked_without_a_change(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with followed(tmp_path, caplog) as made:
        made.reloading.ask()
        await until(lambda: any("read again: nothing changed" in line for line in caplog.messages))
        assert made.applied == []


async def test_new_fields_without_effect_are_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with followed(tmp_path, caplog) as made:
        made.replace(kube_proxy("oomScoreAdj: -999\n"))
        await until(lambda: any("nothing changed" in line or "kept" in line for line in caplog.messages))
        made.reloading.ask()
        await until(lambda: sum("read again" in line for line in caplog.messages) == 2)
        assert sum("without effect here" in line for line in caplog.messages) == 1


async def test_a_directory_that_cannot_be_watched_still_answers_sighup(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(own())
    made = Followed(file)
    file.unlink()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(made.reloading.run(made.apply), name="configuration file")
        await until(lambda: any("is not watched for changes" in line for line in caplog.messages))
        file.write_text(own("noEndpoints: reject\n"))
        made.reloading.ask()
        await until(lambda: len(made.applied) == 1)
        task.cancel()


async def test_without_a_file_there_is_nothing_to_do() -> None:
    reloading = Reloading(SettingsSource("run").read())
    assert reloading.file == ""
    await asyncio.wait_for(reloading.run(lambda config: None), 5)


def test_differences() -> None:
    live, kept = differences(Config(), Config(log_level="debug", capture="none"))
    assert (live, kept) == ({"log_level": "debug"}, {"capture": "none"})
