"""Files that hold what was exported."""

from pathlib import Path

import pytest

from inbox.events import TopicPartition
from inbox.operations.private_file import write_private
from inbox.operations.replay.offsets_file import ListError, write_offsets


def test_an_exported_file_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "offsets.csv"
    write_offsets(file, {TopicPartition("orders", 0): 7})
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text() == "orders,0,7\n"


def test_a_file_that_others_could_read_is_replaced_by_one_that_they_cannot(tmp_path: Path) -> None:
    file = tmp_path / "offsets.csv"
    file.write_text("before")
    file.chmod(0o644)
    write_private(file, b"now")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"now", 0o600)


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    victim, link = tmp_path / "victim", tmp_path / "offsets.csv"
    victim.write_text("precious")
    link.symlink_to(victim)
    with pytest.raises(ListError, match="is a link"):
        write_offsets(link, {TopicPartition("orders", 0): 7})
    assert victim.read_text() == "precious"


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ListError, match="cannot be written"):
        write_offsets(tmp_path / "absent/offsets.csv", {TopicPartition("orders", 0): 7})
    assert list(tmp_path.iterdir()) == []
