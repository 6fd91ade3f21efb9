"""The data directory: one SQLite file with every state of every object that is still known, and the lock on it.

Owns the file, its schema and its checks. Everything blocks; what is written when, and what it means, is decided in `durable`.
Each row is one state of one object, as in etcd: the newest one of a key is the present, the others are the history.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from userproxy.errors import StoreError
from userproxy.standalone.objects import Json

FILE, LOCK = "store.sqlite3", "lock"
_APPLICATION = 0x75707879
"""What tells our files from those of other programs (PRAGMA application_id): `upxy`."""
_SCHEMA = 1
_ROWS = 200
"""Rows of one statement: Python's lock is let go and taken again for each statement, which takes long beside a busy loop."""
_TABLES = (
    "CREATE TABLE revisions (version INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, body BLOB)",
    "CREATE TABLE floors (kind TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE notes (name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
)


_FOLLOW_VERSION = """
    CREATE TEMP TRIGGER follow_version AFTER INSERT ON main.revisions
    BEGIN UPDATE counters SET value = NEW.version WHERE name = 'version'; END
"""
"""With this, states alone are written by one statement, which is a transaction of its own."""


class Row(msgspec.Struct, frozen=True):
    """One state of an object; `item` is None when the state is that it was deleted."""

    version: int
    kind: str
    key: str
    item: Json | None


class Changes(msgspec.Struct):
    """What one transaction writes; `obsolete` are versions of states that nobody can ask for any more."""

    rows: list[Row] = []
    obsolete: list[int] = []
    floors: dict[str, int] = {}
    notes: dict[str, Json | None] = {}

    def merge(self, later: Changes) -> None:
        """Add changes that were made after these."""
        self.rows += later.rows
        self.obsolete += later.obsolete
        self.floors |= later.floors
        self.notes |= later.notes


class Database:
    """The open file. One user at a time, from any thread."""

    def __init__(self, directory: Path) -> None:
        """Create or open it. Raises StoreError."""
        self.directory = directory
        _make_directory(directory)
        self._lock = _lock(directory)
        try:
            self._connection = self._open(directory / FILE)
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self, file: Path) -> sqlite3.Connection:
        try:
            os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as fault:
            raise StoreError(f"store {file} cannot be opened: {fault.strerror}; check its owner") from fault
        connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        try:
            _check(connection, file)
            connection.execute("PRAGMA journal_mode = WAL")
            # FULL: what was acknowledged survives a power cut too
            connection.execute("PRAGMA synchronous = FULL")
            _create(connection, file)
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute(_FOLLOW_VERSION)
        except sqlite3.Error as fault:
            connection.close()
            raise _damaged(file, fault) from fault
        except StoreError:
            connection.close()
            raise
        return connection

    @property
    def file(self) -> Path:
        """Where it is."""
        return self.directory / FILE

    def counter(self, name: str) -> int | None:
        """Return a number that was kept: `origin`, the first version ever, or `version`, the last. Raises StoreError."""
        for (value,) in self._read("SELECT value FROM counters WHERE name = ?", name):
            return int(value)
        return None

    def rows(self) -> Iterator[Row]:
        """Yield every state, oldest first. Raises StoreError."""
        for version, kind, key, body in self._read("SELECT * FROM revisions ORDER BY version"):
            yield Row(version, kind, key, None if body is None else self._decode(body))

    def floors(self) -> dict[str, int]:
        """Return the version of each kind before which its history is no longer known. Raises StoreError."""
        return dict(self._read("SELECT kind, version FROM floors"))

    def notes(self) -> dict[str, Json]:
        """Return all notes. Raises StoreError."""
        return {name: self._decode(body) for name, body in self._read("SELECT name, body FROM notes")}

    def _read(self, statement: str, *values: str) -> Iterator[Any]:
        try:
            yield from self._connection.execute(statement, values)
        except sqlite3.Error as fault:
            raise _damaged(self.file, fault) from fault

    def _decode(self, body: bytes) -> Json:
        try:
            return msgspec.json.decode(body, type=dict)
        except (msgspec.DecodeError, TypeError) as fault:
            raise _damaged(self.file, fault) from fault

    def set_origin(self, version: int) -> None:
        """Keep the first version of a new store. Raises StoreError."""
        try:
            self._connection.execute(
                "INSERT INTO counters VALUES ('origin', ?), ('version', ?)", [version] * 2
            )
        except sqlite3.Error as fault:
            raise self._unwritable(fault) from fault

    def write(self, changes: Changes) -> None:
        """Write everything or nothing; on return it is on the disk. Raises StoreError."""
        rows = [
            (row.version, row.kind, row.key, None if row.item is None else msgspec.json.encode(row.item))
            for row in changes.rows
        ]
        notes = [
            (name, msgspec.json.encode(value)) for name, value in changes.notes.items() if value is not None
        ]
        forgotten = [(name,) for name, value in changes.notes.items() if value is None]
        statements = [
            *_in_groups("INSERT OR REPLACE INTO revisions VALUES", rows),
            *_in_groups("DELETE FROM revisions WHERE version IN", [(each,) for each in changes.obsolete]),
            *_in_groups("INSERT OR REPLACE INTO floors VALUES", list(changes.floors.items())),
            *_in_groups("INSERT OR REPLACE INTO notes VALUES", notes),
            *_in_groups("DELETE FROM notes WHERE name IN", forgotten),
        ]
        try:
            if len(statements) == 1 and rows:
                self._connection.execute(*statements[0])
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for text, values in statements:
                    self._connection.execute(text, values)
                self._connection.execute("COMMIT")
            except sqlite3.Error:
                # a full disk ends the transaction by itself
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as fault:
            raise self._unwritable(fault) from fault

    def _unwritable(self, fault: sqlite3.Error) -> StoreError:
        return StoreError(f"store {self.file} cannot be written: {fault}; make room, or check the disk")

    def close(self) -> None:
        """Close the file and let others have the directory. May be called twice."""
        if self._lock >= 0:
            self._connection.close()
            os.close(self._lock)
            self._lock = -1


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as fault:
        raise StoreError(
            f"data directory {directory} is not a directory; give another with --data-dir"
        ) from fault
    except OSError as fault:
        raise StoreError(
            f"data directory {directory} cannot be created: {fault.strerror}; give another with --data-dir"
        ) from fault


def _lock(directory: Path) -> int:
    """Return a descriptor that holds the lock; the kernel lets go of it when the process ends, however it ends."""
    try:
        descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as fault:
        raise StoreError(
            f"data directory {directory} cannot be written: {fault.strerror}; give another with --data-dir"
        ) from fault
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as fault:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        who = f"process {holder}" if holder else "another process"
        raise StoreError(
            f"data directory {directory} is in use by {who}; stop it, or give another with --data-dir"
        ) from fault
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _check(connection: sqlite3.Connection, file: Path) -> None:
    """Refuse files of other programs and damaged ones, before anything is written to them."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != _APPLICATION and tables:
        raise StoreError(f"{file} belongs to another program; give another directory with --data-dir")
    if application == _APPLICATION and schema > _SCHEMA:
        raise StoreError(f"{file} was written by a newer userproxy; use that one, or another --data-dir")
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise _damaged(file, verdict.strip().splitlines()[-1])


def _create(connection: sqlite3.Connection, file: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application == _APPLICATION:
        return
    try:
        connection.execute("BEGIN IMMEDIATE")
        for table in _TABLES:
            connection.execute(table)
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(f"PRAGMA user_version = {_SCHEMA}")
        connection.execute("COMMIT")
    except sqlite3.OperationalError as fault:
        raise StoreError(f"store {file} cannot be created: {fault}; make room, or check the disk") from fault


def _damaged(file: Path, fault: object) -> StoreError:
    return StoreError(f"store {file} is damaged: {fault}; move it away to begin with an empty one")


def _in_groups(statement: str, rows: Sequence[tuple[object, ...]]) -> Iterator[tuple[str, list[object]]]:
    """Yield statements that end in a list of rows, with many of these in each, and their values."""
    for start in range(0, len(rows), _ROWS):
        group = rows[start : start + _ROWS]
        one = "(" + ",".join("?" * len(group[0])) + ")"
        # `x IN (VALUES (1),(2))` and `INSERT ... VALUES (1),(2)` differ in the parentheses alone
        listed = ",".join([one] * len(group))
        text = f"{statement} (VALUES {listed})" if statement.endswith("IN") else f"{statement} {listed}"
        yield text, [value for row in group for value in row]
