"""The wheel and the sdist build without a complaint and hold what they must; the image's inputs are locked and linted."""

from __future__ import annotations

import email.message
import email.parser
import importlib.metadata
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.rendered import DEPLOY, ROOT
from userproxy import __version__

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
HADOLINT = Path(sys.prefix, "bin", "hadolint")


@dataclass(frozen=True)
class Built:
    """The files that a release consists of."""

    wheel: Path
    sdist: Path

    @property
    def names(self) -> set[str]:
        """What is in the wheel."""
        return set(zipfile.ZipFile(self.wheel).namelist())

    def read(self, name: str) -> str:
        """Return a file of the wheel's metadata."""
        folder = f"userproxy-{__version__}.dist-info"
        return zipfile.ZipFile(self.wheel).read(f"{folder}/{name}").decode()

    @property
    def metadata(self) -> email.message.Message:
        """The wheel's METADATA."""
        return email.parser.Parser().parsestr(self.read("METADATA"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    out = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(build, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in (done.stdout + done.stderr).lower()
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return Built(wheel, sdist)


def test_the_wheel_holds_the_whole_program_and_nothing_else(built: Built) -> None:
    """It was made from the sdist, so that holds the whole program as well."""
    ours = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "userproxy").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in built.names if name.startswith("userproxy/")} == ours
    others = {name.split("/")[0] for name in built.names - ours}
    assert others == {f"userproxy-{__version__}.dist-info", f"userproxy-{__version__}.data"}


def test_man_pages_and_completion_come_along(built: Built) -> None:
    shared = f"userproxy-{__version__}.data/data/share/"
    installed = {name.removeprefix(shared) for name in built.names if name.startswith(shared)}
    assert "man/man1/userproxy-run.1" in installed
    assert {name for name in installed if not name.startswith("man/")} == {
        "bash-completion/completions/userproxy",
        "fish/vendor_completions.d/userproxy.fish",
        "zsh/site-functions/_userproxy",
    }


def test_the_metadata_says_what_the_program_says(built: Built) -> None:
    assert built.metadata["Version"] == __version__
    assert built.metadata["Requires-Python"] == ">=3.11"
    assert "userproxy = userproxy.cli:main" in built.read("entry_points.txt")
    assert str(built.metadata.get_payload()).startswith("# userproxy")


def test_the_sdist_has_what_distributions_test_and_deploy_with(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "tests/run.py",
        "deploy/userproxy.yaml",
        "deploy/reference.md",
        "deploy/environment.py",
        "pyproject.toml",
    } <= names
    assert not [name for name in names if name.startswith((".ci", ".venv")) or "__pycache__" in name]


def test_the_version_is_written_once() -> None:
    """What must repeat it (chart, manifests, lint of the image) is compared with it in their own tests."""
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "userproxy/__init__.py"


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint has no wheel for this machine")
def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run([HADOLINT, DEPLOY / "Dockerfile"], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_names_this_version_and_copies_what_its_context_has() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert f"userproxy:{__version__}" in text
    kept = re.findall(r"^!(\S+)", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    copied = {
        word.split("/")[0]
        for line in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.MULTILINE)
        for word in line.split()
    }
    assert copied == set(kept)


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.lock", PROJECT["project"]["dependencies"]),
        ("build.lock", PROJECT["build-system"]["requires"]),
    ],
)
def test_the_lock_holds_every_dependency_with_hashes(lock: str, wanted: list[str]) -> None:
    """And theirs, as far as those installed here say."""
    blocks = re.split(r"\n(?=[a-zA-Z0-9])", (DEPLOY / lock).read_text())
    locked = {}
    for block in blocks:
        name, version = re.match(r"([\w.-]+)==(\S+)", block).groups()  # type: ignore[union-attr]
        assert "--hash=sha256:" in block, name
        locked[canonicalize_name(name)] = version
    waiting, seen = [Requirement(one) for one in wanted], set()
    while waiting:
        requirement = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        name = canonicalize_name(requirement.name)
        assert name in locked, f"{name} is not in deploy/{lock}; deploy/CONTRIBUTING.md says how to lock"
        assert requirement.specifier.contains(locked[name], prereleases=True), f"{lock}: {requirement}"
        if name not in seen:
            seen.add(name)
            waiting += [Requirement(one) for one in importlib.metadata.requires(name) or []]
    assert seen == locked.keys(), "locked, but nothing needs it"
