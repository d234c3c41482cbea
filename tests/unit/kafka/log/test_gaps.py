"""Which gaps of a log have a reason, and how seldom the brokers are asked for it."""

from collections.abc import Sequence

import pytest

from inbox.errors import StartupError, TryAgainError, UnreadableError
from inbox.events import TopicPartition
from inbox.kafka.log.gaps import LONG, LOOK_AHEAD, Gaps
from inbox.kafka.log.stretch import DeliveryPoint, Stretch, unreadable_offsets
from inbox.kafka.options import KafkaOptions

P0 = TopicPartition("orders", 0)


class Policies:
    """Says of every topic whether it is compacted; None: this user may not know."""

    def __init__(self, compacted: bool | None) -> None:
        self.is_compacted = compacted
        self.asked = 0

    def compacted(self, topics: Sequence[str]) -> set[str]:
        self.asked += 1
        if self.is_compacted is None:
            raise StartupError("this user may not know")
        return set(topics) if self.is_compacted else set()


class LogOf:
    """A log of which some offsets hold nothing; `looks` are the stretches that were read."""

    def __init__(self, *empty: int, committed: Sequence[int] = (), end: int = 1000) -> None:
        self.empty = empty
        self.committed = committed
        self.end = end
        self.looks: list[tuple[int, int, int]] = []

    def look(self, at: TopicPartition, since: int, until: int, ahead: int) -> Stretch:
        self.looks.append((since, until, ahead))
        reached = min(until + ahead, self.end)
        return Stretch(sum(since <= each < reached for each in self.empty), reached, self.committed)

    def count(self, at: TopicPartition, since: int, until: int) -> int:
        self.looks.append((since, until, 0))
        return sum(since <= each < until for each in self.empty)

    def committed_records(self, at: TopicPartition, since: int, until: int) -> Sequence[int]:
        return [each for each in self.committed if since <= each < until]


class Clock:
    """Time that passes where a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class SlowLog(LogOf):
    """Each look takes 3 seconds."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(end=10 * LONG)
        self.clock = clock

    def look(self, at: TopicPartition, since: int, until: int, ahead: int) -> Stretch:
        self.clock.now += 3
        return super().look(at, since, until, ahead)

    def count(self, at: TopicPartition, since: int, until: int) -> int:
        self.clock.now += 3
        return super().count(at, since, until)


def gaps_of(policies: Policies, of: LogOf) -> Gaps:
    return Gaps(KafkaOptions(group_id="g", properties={}), policies, looks=of)


def hurried(log: SlowLog) -> Gaps:
    options = KafkaOptions(group_id="g", properties={})
    return Gaps(options, Policies(False), at_a_time_seconds=8, looks=log, clock=log.clock)


def test_a_topic_that_was_once_compacted_may_have_a_gap_anywhere() -> None:
    policies, log = Policies(False), LogOf(*range(10, 15))
    gaps = Gaps(KafkaOptions(group_id="g", properties={}), policies, once_compacted=["orders"], looks=log)
    gaps.require_reason(P0, 10, 15)
    assert (policies.asked, log.looks) == (0, [])
    with pytest.raises(UnreadableError, match="once_compacted"):
        gaps.require_reason(TopicPartition("others", 0), 10, 15)


def test_a_gap_of_a_compacted_topic_has_a_reason_and_the_log_is_not_read() -> None:
    policies, log = Policies(True), LogOf(5, 6)
    gaps = gaps_of(policies, log)
    for _ in range(3):
        gaps.require_reason(P0, 5, 7)
    assert (policies.asked, log.looks) == (1, [])


def test_a_gap_that_holds_nothing_has_no_reason() -> None:
    gaps = gaps_of(Policies(False), LogOf(5, 6))
    with pytest.raises(UnreadableError) as found:
        gaps.require_reason(P0, 5, 7)
    assert (found.value.at, found.value.offset, found.value.gap) == (P0, 5, 7)
    assert "the log holds nothing at offsets 5 up to 6 and has no reason for the gap" in str(found.value)
    assert str(found.value).endswith("`inbox resume --topic orders:0 --from-offset 7 --accept-loss`")


def test_a_gap_of_control_records_has_a_reason_and_single_ones_are_asked_for_once() -> None:
    policies, log = Policies(False), LogOf()
    gaps = gaps_of(policies, log)
    for offset in range(5, 500, 10):
        gaps.require_reason(P0, offset, offset + 1)
    assert (policies.asked, log.looks) == (1, [(5, 6, 0)])


def test_longer_gaps_of_a_topic_with_transactions_are_looked_at_together() -> None:
    log = LogOf()
    gaps = gaps_of(Policies(False), log)
    for offset in range(5, 900, 10):
        gaps.require_reason(P0, offset, offset + 3)
    assert log.looks == [(5, 8, 0), (15, 18, LOOK_AHEAD)]


def test_what_is_missing_further_on_is_no_fault_of_this_gap() -> None:
    log = LogOf(500)
    gaps = gaps_of(Policies(False), log)
    for offset in (5, 15):
        gaps.require_reason(P0, offset, offset + 3)
    with pytest.raises(UnreadableError):
        gaps.require_reason(P0, 500, 503)


def test_one_missing_offset_halts_where_the_topic_has_no_transactions() -> None:
    gaps = gaps_of(Policies(False), LogOf(5))
    with pytest.raises(UnreadableError, match="the log holds nothing at offset 5 and"):
        gaps.require_reason(P0, 5, 6)


def test_a_user_that_may_not_know_the_policy_is_warned_once_and_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    gaps = gaps_of(Policies(None), LogOf(5, 15))
    gaps.require_reason(P0, 5, 6)
    gaps.require_reason(P0, 15, 16)
    said = capsys.readouterr()
    assert (said.out + said.err).count("gap-not-examined") == 1


def test_what_cannot_be_read_is_no_gap_whatever_the_policy_may_be() -> None:
    class Damaged(LogOf):
        def look(self, at: TopicPartition, since: int, until: int, ahead: int) -> Stretch:
            raise UnreadableError("damaged", at=at, offset=since)

    with pytest.raises(UnreadableError, match="damaged"):
        gaps_of(Policies(None), Damaged()).require_reason(P0, 5, 6)


def test_committed_records_that_were_not_delivered_are_no_gap() -> None:
    with pytest.raises(TryAgainError, match="records from 5 up to 7 were not delivered; they are read again"):
        gaps_of(Policies(False), LogOf(committed=[6])).require_reason(P0, 5, 8)


def test_what_was_seen_together_answers_only_for_gaps_without_a_committed_record() -> None:
    gaps = gaps_of(Policies(False), LogOf(committed=range(30, 40)))
    for offset in (5, 15, 25):
        gaps.require_reason(P0, offset, offset + 3)
    with pytest.raises(TryAgainError):
        gaps.require_reason(P0, 29, 31)


def test_a_topic_that_became_compacted_a_moment_ago_does_not_halt() -> None:
    policies = Policies(False)
    gaps = gaps_of(policies, LogOf(50, 51))
    gaps.require_reason(P0, 5, 6)
    policies.is_compacted = True
    gaps.require_reason(P0, 50, 52)


def test_what_cannot_be_read_behind_a_gap_is_no_fault_of_this_gap() -> None:
    class Damaged(LogOf):
        def look(self, at: TopicPartition, since: int, until: int, ahead: int) -> Stretch:
            if until + ahead > 500:
                raise UnreadableError("damaged", at=at, offset=500)
            return super().look(at, since, until, ahead)

    gaps = gaps_of(Policies(False), Damaged())
    for offset in (5, 15):
        gaps.require_reason(P0, offset, offset + 3)
    with pytest.raises(UnreadableError, match="damaged"):
        gaps.require_reason(P0, 499, 502)


def test_a_long_gap_is_looked_at_in_pieces() -> None:
    log = LogOf(end=10 * LONG)
    gaps_of(Policies(False), log).require_reason(P0, 5, 5 + 3 * LONG)
    assert log.looks == [(5 + piece * LONG, 5 + (piece + 1) * LONG, 0) for piece in range(3)]


def test_what_a_long_gap_lacks_halts_and_what_it_holds_is_read_again() -> None:
    with pytest.raises(UnreadableError):
        gaps_of(Policies(False), LogOf(2 * LONG)).require_reason(P0, 5, 5 + 3 * LONG)
    with pytest.raises(TryAgainError, match="were not delivered"):
        gaps_of(Policies(False), LogOf(committed=[2 * LONG])).require_reason(P0, 5, 5 + 3 * LONG)


def test_a_gap_that_takes_longer_than_a_turn_may_is_continued_in_the_next() -> None:
    log = SlowLog(Clock())
    gaps, turns = hurried(log), 1
    while True:
        try:
            gaps.require_reason(P0, 5, 5 + 7 * LONG)
            break
        except TryAgainError as error:
            assert "takes longer to see" in str(error)  # noqa: PT017 - it may be raised or not
            turns += 1
            log.clock.now += 1
    assert turns == 3
    assert log.looks == [(5 + piece * LONG, 5 + (piece + 1) * LONG, 0) for piece in range(7)]


def test_the_gaps_of_many_partitions_do_not_hold_up_a_turn() -> None:
    log = SlowLog(Clock())
    gaps = hurried(log)
    partitions = [TopicPartition("orders", number) for number in range(9)]
    waiting, turns = set(partitions), 0
    while waiting:
        began, turns = log.clock.now, turns + 1
        for partition in sorted(waiting):
            try:
                gaps.require_reason(partition, 5, 8)
            except TryAgainError:
                continue
            waiting.discard(partition)
        assert log.clock.now - began <= 8 + 3
        log.clock.now += 1
    assert turns == 3


@pytest.mark.parametrize(
    ("places", "next_offset", "offsets"),
    [
        ([(6, False), (7, True), (8, False)], 9, 1),
        ([(7, True), (17, False)], 20, 10),
        ([(7, True)], 17, 10),
        ([(7, True), (8, False)], 7, 0),
        ([(7, True), (8, True), (9, False), (9, False)], 12, 2),
    ],
)
def test_what_cannot_be_read_behind_a_stretch_is_not_missing_in_it(
    places: Sequence[tuple[int, bool]], next_offset: int, offsets: int
) -> None:
    assert unreadable_offsets([DeliveryPoint(*each) for each in places], next_offset) == offsets
