"""Who wins: flag, then environment, then file, then default; and what is said about settings without effect."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.configfile.files import kube_proxy, own
from userproxy.config import Config
from userproxy.configfile.source import LARGEST, SettingsSource
from userproxy.errors import UsageError


def write(folder: Path, text: str) -> str:
    file = folder / "config.yaml"
    file.write_text(text)
    return str(file)


def test_without_a_file() -> None:
    read = SettingsSource("run", given={"workers": "3"}, defaults={"capture": "none"}, notes=("n",)).read()
    assert (read.config, read.notes) == (Config(workers="3", capture="none"), ("n",))


def test_precedence(tmp_path: Path) -> None:
    file = write(tmp_path, own("workers: 2\ncapture: route\n"))
    source = SettingsSource("run", file, {"capture": "none"}, {"workers": "0", "sidecar": True}, ("n",))
    read = source.read()
    assert (read.config.capture, read.config.workers, read.config.sidecar) == ("none", "2", True)
    assert read.config.config == file
    assert read.source is source
    assert read.notes == ("n",)


def test_what_has_no_effect_is_listed_in_one_line(tmp_path: Path) -> None:
    file = write(tmp_path, kube_proxy("oomScoreAdj: -999\nmode: ipvs\n---\n" + own("apiToken: none\n")))
    read = SettingsSource("run", file).read()
    assert read.config.api_token == "auto"
    assert read.notes == (
        f"{file}: mode 'ipvs' is ignored: there is no IPVS here, --capture decides",
        f"{file}: without effect here (the reference says why): oomScoreAdj, apiToken (not a setting of this command)",
    )


def test_a_value_that_config_refuses_names_the_file_only_when_it_is_at_fault(tmp_path: Path) -> None:
    file = write(tmp_path, own("proxyAddress: nonsense\n"))
    with pytest.raises(UsageError, match=f"^{file}: --proxy-address: 'nonsense' is not"):
        SettingsSource("run", file).read()
    with pytest.raises(UsageError, match=r"^--workers: 'x' is neither"):
        SettingsSource("run", write(tmp_path, own()), {"workers": "x"}).read()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--config: cannot read .*/none: No such file or directory"):
        SettingsSource("run", str(tmp_path / "none")).read()
    with pytest.raises(UsageError, match=r"cannot read .*Is a directory"):
        SettingsSource("run", str(tmp_path)).read()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is not text in UTF-8"):
        SettingsSource("run", str(tmp_path / "binary")).read()
    with pytest.raises(UsageError, match=f"more than {LARGEST} bytes"):
        SettingsSource("run", write(tmp_path, "#" * (LARGEST + 1))).read()
