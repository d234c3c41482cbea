"""The form of offsets that `kafka-consumer-groups --reset-offsets --export` writes and `--from-file` reads.

A partition has one line: `topic,partition,offset`, or `group,topic,partition,offset` if several
groups were exported (Apache Kafka, `CsvUtils`). There is no header. A long name may be quoted.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

from inbox.events import TopicPartition
from inbox.operations.private_file import write_private


class ListError(Exception):
    """A refusal of a file that is not such a list. The text says where, and what was expected."""


def read_offsets(path: Path, group: str) -> dict[TopicPartition, int]:
    """Return the offsets of `group`. Those of other groups in the file are passed over.

    Raises:
        ListError: the file cannot be read, a line is of another form, or none is of the group.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [(number, row) for number, row in enumerate(csv.reader(file), start=1) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ListError(f"{path} cannot be read: {error}") from None
    offsets: dict[TopicPartition, int] = {}
    for number, row in rows:
        if len(row) == 4 and row[0] != group:
            continue
        at, offset = _position(path, number, row[-3:] if len(row) == 4 else row)
        if at in offsets:
            raise ListError(f"{path}, line {number}: {at} is there twice; leave one of the lines out")
        offsets[at] = offset
    if not offsets:
        raise ListError(f"{path} has no offset of group {group}; export it for this group")
    return offsets


def write_offsets(path: Path, offsets: Mapping[TopicPartition, int]) -> None:
    """Write the offsets to the file. Raises ListError if the file cannot be written."""
    lines = [f"{at.topic},{at.partition},{offset}\n" for at, offset in sorted(offsets.items())]
    try:
        write_private(path, "".join(lines).encode())
    except OSError as error:
        raise ListError(f"{path} cannot be written: {error.strerror}") from None


def _position(path: Path, number: int, row: list[str]) -> tuple[TopicPartition, int]:
    try:
        topic, partition, offset = row
        position = TopicPartition(topic, int(partition)), int(offset)
    except ValueError:
        position = TopicPartition("", -1), -1
    if not position[0].topic or position[0].partition < 0 or position[1] < 0:
        expected = "topic,partition,offset or group,topic,partition,offset, as kafka-consumer-groups --export writes it"
        raise ListError(f"{path}, line {number}: expected {expected}")
    return position
