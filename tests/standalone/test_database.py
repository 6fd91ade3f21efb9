"""The file of the store: what is written is read again, and files that cannot be used are told in one line."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from userproxy.errors import StoreError
from userproxy.standalone.database import FILE, Changes, Database, Row
from userproxy.standalone.durable import open_store


def filled(directory: Path, count: int = 50) -> None:
    database = Database(directory)
    database.set_origin(5)
    rows = [Row(10 + n, "services", f"default/s{n}", {"metadata": {"name": f"s{n}"}}) for n in range(count)]
    database.write(Changes(rows, [], {"services": 7}, {"a": {"x": 1}}))
    database.close()


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    filled(tmp_path, 1000)  # more than one statement holds
    database = Database(tmp_path)
    later = Changes(
        [Row(2000, "services", "default/s3", None)], list(range(10, 510)), {"nodes": 1}, {"a": None}
    )
    database.write(later)
    database.close()
    database.close()
    database = Database(tmp_path)
    assert (database.counter("origin"), database.counter("version")) == (5, 2000)
    assert database.floors() == {"services": 7, "nodes": 1}
    assert database.notes() == {}
    rows = list(database.rows())
    assert [row.version for row in rows] == [*range(510, 1010), 2000]
    assert rows[0].item == {"metadata": {"name": "s500"}}
    assert rows[-1] == Row(2000, "services", "default/s3", None)
    database.close()


def test_changes_are_merged_in_order() -> None:
    first = Changes([Row(1, "k", "a", {})], [], {"k": 1}, {"n": {"v": 1}})
    first.merge(Changes([Row(2, "k", "a", None)], [1], {"k": 2}, {"n": None}))
    assert first == Changes([Row(1, "k", "a", {}), Row(2, "k", "a", None)], [1], {"k": 2}, {"n": None})


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "data"
    filled(directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()} == {0o600}


def fails(directory: Path) -> str:
    with pytest.raises(StoreError) as caught:
        open_store(directory)
    text = str(caught.value)
    assert "\n" not in text
    assert str(directory) in text
    return text


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    code = "import sys, pathlib; from userproxy.standalone.database import Database; \
d = Database(pathlib.Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        assert f"in use by process {other.pid}; stop it" in fails(tmp_path)
        other.kill()
        other.wait()
    Database(tmp_path).close()


def test_a_failed_open_lets_go_of_the_lock(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database" * 100)
    assert "damaged" in fails(tmp_path)
    assert "damaged" in fails(tmp_path)
    (tmp_path / FILE).unlink()
    Database(tmp_path).close()


def test_files_of_other_programs_are_left_alone(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute("CREATE TABLE addresses (name TEXT)")
    connection.close()
    before = (tmp_path / FILE).read_bytes()
    assert "belongs to another program" in fails(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    filled(tmp_path)
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert "newer userproxy" in fails(tmp_path)


@pytest.mark.parametrize("place", [0, 100, 4096])
def test_damage_is_told(tmp_path: Path, place: int) -> None:
    filled(tmp_path)
    with (tmp_path / FILE).open("r+b") as file:
        file.seek(place)
        file.write(b"\xff" * 2000)
    assert "damaged" in fails(tmp_path)


def test_a_cut_file_is_told(tmp_path: Path) -> None:
    filled(tmp_path, 500)
    os.truncate(tmp_path / FILE, 5000)
    assert "damaged" in fails(tmp_path)


def test_a_damaged_object_is_told(tmp_path: Path) -> None:
    filled(tmp_path)
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute("UPDATE revisions SET body = '[1]' WHERE version = 12")
    connection.commit()
    connection.close()
    assert "damaged" in fails(tmp_path)


def test_places_that_cannot_be_used(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert "is not a directory" in fails(file)
    assert "cannot be created" in fails(file / "below")
    assert "cannot be created" in fails(Path("/proc/userproxy"))


@pytest.mark.skipif(
    os.geteuid() == 0 and not Path("/proc/sys").is_dir(), reason="needs /proc as a read-only place"
)
def test_a_directory_that_cannot_be_written() -> None:
    assert "cannot be written" in fails(Path("/proc/sys"))
