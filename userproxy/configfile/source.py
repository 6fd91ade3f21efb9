"""Where settings come from, and who wins: flag, then environment variable, then file, then default.

Owns the merge, at the start and each time the file is read again. kube-proxy lets the file win over nearly every flag; here
whatever is said closer to the process wins, as with kubectl and systemd units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from userproxy.config import Config, settings_of
from userproxy.configfile.own_fields import field_name
from userproxy.errors import UsageError

if TYPE_CHECKING:
    from userproxy.configfile.documents import FileSettings

LARGEST = 1 << 20
"""Bytes of a configuration file; more is not one."""


@dataclass(frozen=True)
class SettingsSource:
    """Flags, environment and the name of the file of one run."""

    command: str
    file: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)
    """settings from flags and environment"""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """where the command's differ from those of Config"""
    notes: tuple[str, ...] = ()
    """about flags that had no effect"""

    def read(self) -> Settings:
        """Read the file, if there is one, and merge. Raises UsageError."""
        if self.file:
            return self.merge(read_text(self.file))
        return Settings(Config(**{**self.defaults, **self.given}), self.notes, self)

    def merge(self, text: str) -> Settings:
        """Merge with `text`, the content of the file. Raises UsageError."""
        # Only now: most commands have no file and need no YAML.
        from userproxy.configfile.documents import read_settings

        found = read_settings(text, self.file)
        names = {setting.name for setting in settings_of(self.command)}
        from_file = {name: value for name, value in found.values.items() if name in names}
        base = {**self.defaults, "config": self.file}
        Config(**{**base, **self.given})  # a fault of flags is told as such, all others are the file's
        try:
            config = Config(**{**base, **from_file, **self.given})
        except UsageError as error:
            raise UsageError(f"{self.file}: {error}") from None
        return Settings(config, (*self.notes, *self._notes(found, names)), self)

    def _notes(self, found: FileSettings, names: set[str]) -> list[str]:
        foreign = sorted(field_name(name) for name in set(found.values) - names)
        ignored = [*found.ignored, *(f"{name} (not a setting of this command)" for name in foreign)]
        notes = [f"{self.file}: {note}" for note in found.notes]
        if ignored:
            notes.append(f"{self.file}: without effect here (the reference says why): {', '.join(ignored)}")
        return notes


@dataclass(frozen=True)
class Settings:
    """All settings merged, lines for the log about what had no effect, and where to read them again."""

    config: Config
    notes: tuple[str, ...]
    source: SettingsSource


def read_text(file: str) -> str:
    """Return the text of `file`. Raises UsageError."""
    try:
        with Path(file).open("rb") as stream:
            data = stream.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise UsageError(f"--config: {file} has more than {LARGEST} bytes; that is no configuration file")
        return data.decode()
    except UnicodeDecodeError:
        raise UsageError(f"--config: {file} is not text in UTF-8") from None
    except OSError as error:
        raise UsageError(
            f"--config: cannot read {file}: {error.strerror}; give the path of a configuration file"
        ) from error
