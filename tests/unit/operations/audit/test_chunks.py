"""What a chunk of offsets comes to, held against the obvious way to tell."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from inbox.events import TopicPartition
from inbox.operations.audit.accounting import (
    OFFSETS_KEPT,
    Listed,
    Listing,
    OffsetAnswer,
    PartitionAudit,
    RouteAccount,
    Tally,
    repair_command,
)
from inbox.operations.audit.chunks import (
    ChunkEvents,
    Circumstances,
    ClaimAddress,
    ClaimSum,
    all_claimed,
    fingerprint,
    one_by_one,
)
from inbox.store.inbox.audit_queries import Coordinates


def event_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


ELSEWHERE = Coordinates("orders", 1, 7)
P0 = TopicPartition("orders", 0)


def tally(account: RouteAccount, listing: Listing | None = None) -> Tally:
    return Tally(P0, "reserve", account, listing)


def counts(account: RouteAccount) -> dict[str, int]:
    return {answer.value: count for answer in OffsetAnswer if (count := getattr(account, answer.value))}


@st.composite
def chunks(draw: st.DrawFn) -> tuple[ChunkEvents, dict[bytes, int], Circumstances]:
    """Events at offsets 0 to 19, the claims of the route by id (an offset each), and what else there is."""
    events, claims = ChunkEvents(), dict[bytes, int]()
    for offset in range(draw(st.integers(0, 20))):
        kind = draw(st.sampled_from(["event", "event", "event", "filtered", "without id", "no record"]))
        if kind == "filtered":
            events.filtered.append(offset)
        elif kind == "without id":
            events.without_id.append(offset)
        elif kind == "event":
            identity = event_id(draw(st.integers(0, 15)))
            events.ids.append(identity)
            events.offsets.append(offset)
            if draw(st.booleans()):
                claims.setdefault(identity, offset)
    sets = st.sets(st.integers(0, 19), max_size=4)
    around = Circumstances(
        owes_from=draw(st.sampled_from([0, 0, 0, 7])),
        open_letters=draw(sets),
        discarded=draw(sets),
        horizon=draw(st.sampled_from([0, 0, 5])),
        given_up=draw(st.sampled_from([[], [range(3, 9)]])),
    )
    return events, claims, around


def obvious(events: ChunkEvents, claims: dict[bytes, int], around: Circumstances) -> Counter[str]:
    found: Counter[str] = Counter(filtered=sum(offset >= around.owes_from for offset in events.filtered))
    identified = list(zip(events.offsets, events.ids, strict=True))
    for offset, identity in [*identified, *((offset, b"") for offset in events.without_id)]:
        claim = claims.get(identity)
        if offset in around.open_letters or offset in around.discarded:
            found["dead_lettered"] += 1
        elif claim is not None:
            found["applied" if claim == offset else "duplicate"] += 1
        elif offset >= around.owes_from:
            given_up = any(offset in each for each in around.given_up)
            found["passed_over" if given_up else "unknown" if offset < around.horizon else "missing"] += 1
    return found


@given(chunks())
def test_each_offset_comes_to_what_the_obvious_way_says(
    chunk: tuple[ChunkEvents, dict[bytes, int], Circumstances],
) -> None:
    events, claims, around = chunk
    unlike = {
        place: ClaimAddress(ELSEWHERE) if identity in claims else None
        for place, (identity, offset) in enumerate(zip(events.ids, events.offsets, strict=True))
        if claims.get(identity) != offset
    }
    account = RouteAccount()
    own = one_by_one(events, unlike, around, tally(account))
    assert counts(account) == {name: count for name, count in obvious(events, claims, around).items() if count}
    assert own == ClaimSum(len(claims), sum(fingerprint(identity, offset) for identity, offset in claims.items()))


@given(chunks())
def test_a_chunk_as_expected_is_counted_as_one_by_one(
    chunk: tuple[ChunkEvents, dict[bytes, int], Circumstances],
) -> None:
    events, _, around = chunk
    unlike = {place: None for place, offset in enumerate(events.offsets) if offset in around.open_letters}
    at_once, singly = RouteAccount(), RouteAccount()
    all_claimed(events, around, tally(at_once))
    one_by_one(events, unlike, around, tally(singly))
    assert counts(at_once) == counts(singly)


@given(chunks(), st.sets(st.sampled_from([each for each in OffsetAnswer if each is not OffsetAnswer.APPLIED])))
def test_what_is_listed_is_what_is_counted(
    chunk: tuple[ChunkEvents, dict[bytes, int], Circumstances], wanted: set[OffsetAnswer]
) -> None:
    events, claims, around = chunk
    unlike = {
        place: ClaimAddress(ELSEWHERE) if identity in claims else None
        for place, (identity, offset) in enumerate(zip(events.ids, events.offsets, strict=True))
        if claims.get(identity) != offset
    }
    account, told = RouteAccount(), list[Listed]()
    one_by_one(events, unlike, around, tally(account, Listing(wanted, told.append)))
    assert Counter(each.answer for each in told) == +Counter({each: getattr(account, each) for each in wanted})
    assert len({each.offset for each in told}) == len(told)
    assert {each.of for each in told if each.answer is OffsetAnswer.DUPLICATE} <= {ELSEWHERE}
    assert all(each.of is None for each in told if each.answer is not OffsetAnswer.DUPLICATE)


def test_an_adopted_claim_counts_as_applied() -> None:
    account = RouteAccount()
    one_by_one(ChunkEvents([event_id(1)], [0]), {0: ClaimAddress(None)}, Circumstances(owes_from=0), tally(account))
    assert (account.applied, account.adopted) == (1, 1)


def part(missing: list[int]) -> PartitionAudit:
    found = PartitionAudit(address=TopicPartition("t", 0), partition_id=1, from_offset=0, until_offset=9000, at=9000)
    found.routes["r"] = RouteAccount()
    found.routes["r"].count(OffsetAnswer.MISSING, missing)
    return found


def test_the_command_that_mends_goes_from_the_first_to_the_last_that_is_missing() -> None:
    assert repair_command(part([])) is None
    assert repair_command(part([7])) == "inbox replay --topic t:0 --from-offset 7 --until-offset 8 --execute"
    assert repair_command(part([7, 90])) == "inbox replay --topic t:0 --from-offset 7 --until-offset 91 --execute"


def test_where_not_all_are_named_it_goes_to_the_end() -> None:
    many = part(list(range(OFFSETS_KEPT + 1)))
    assert len(many.routes["r"].missing_offsets) == OFFSETS_KEPT
    assert many.routes["r"].missing == OFFSETS_KEPT + 1
    assert repair_command(many) == "inbox replay --topic t:0 --from-offset 0 --until-offset 9000 --execute"
