"""Try parked events again by themselves: those of the worker's own partitions, when their time has come.

A try is counted in a transaction of its own before it is made. So an event that ends the process does so
once for each time in `[failures] retry_after`, and a try that a crash cut short is not repeated.

The keys of a route that are due in a partition share a transaction, as in `inbox dead-letters retry`: as many
as a short time allows, since the partition's batches wait meanwhile.
"""

import time
from collections.abc import Callable, Sequence
from itertools import groupby
from random import random

from inbox.errors import TryAgainError
from inbox.failure_policy import FailureLimits, Order, retry_delay
from inbox.log_lines import log
from inbox.sink.letters.group_size import GroupSize
from inbox.sink.letters.resolver import LetterResolver, NotOwnedError, Retried, Unit
from inbox.sink.outcome import LettersTried
from inbox.sink.routes import Route
from inbox.sink.settle.context import BoundRoute
from inbox.sink.settle.parked_keys import ParkedKeysGuard
from inbox.store.inbox.dead_letters import DeadLetters, DueLetter
from inbox.store.postgres.errors import is_connection_loss
from inbox.telemetry import AUTOMATIC_RETRIES

_FIRST_KEYS, _MOST_KEYS = 10, 100
_SECONDS = 0.25
"""The time after which batches have their turn again."""


class DueLetters:
    """The parked events whose time has come, on one connection.

    Args:
        routes: the routes by id, as they are configured and as they are bound to this connection.
        parked_keys: learns the parked keys of a partition again after each try.
    """

    def __init__(
        self,
        dead_letters: DeadLetters,
        resolver: LetterResolver,
        routes: dict[int, tuple[Route, BoundRoute]],
        parked_keys: ParkedKeysGuard,
        *,
        limits: FailureLimits,
        at_most: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dead_letters = dead_letters
        self._resolver = resolver
        self._routes = routes
        self._parked_keys = parked_keys
        self._limits = limits
        self._at_most = at_most
        self._clock = clock
        self._size = GroupSize(_FIRST_KEYS, fewest=1, most=_MOST_KEYS, seconds=_SECONDS)

    def retry(self, partition_ids: Sequence[int]) -> LettersTried:
        """Try what is due in these partitions, for a short time.

        Raises:
            TryAgainError: the connection was lost.
            HaltError: a handler ended the transaction.
        """
        until, any_order, tried = self._clock() + _SECONDS, self._limits.order is Order.NONE, set[int]()
        more = False
        while (due := self._due(partition_ids, any_order=any_order)) and not more:
            # Until they are read again, nobody relies on them: a COMMIT without an answer may have changed them.
            self._parked_keys.distrust([due[0].partition_id])
            tried.add(due[0].partition_id)
            since = self._clock()
            try:
                self._retry(due, any_order=any_order)
            except NotOwnedError:
                break
            self._size.adapt(len(due), self._clock() - since)
            more = self._clock() >= until
        self._parked_keys.acquired(sorted(tried))
        return LettersTried(more=more)

    def _due(self, partition_ids: Sequence[int], *, any_order: bool) -> list[DueLetter]:
        """Return some that are due, of one partition."""
        due = self._dead_letters.due(partition_ids, list(self._routes), any_order=any_order, limit=self._size.keys)
        return [each for each in due if each.partition_id == due[0].partition_id]

    def _retry(self, due: Sequence[DueLetter], *, any_order: bool) -> None:
        units = [_unit(each, any_order=any_order) for each in due]
        delays = [retry_delay(each.retries + 1, each.kind, self._limits, random()) for each in due]  # noqa: S311 - jitter
        self._resolver.postpone(units[0], [each.dead_letter_id for each in due], delays)
        by_route = sorted(zip(due, units, strict=True), key=lambda each: each[0].route_id)
        for _, group in groupby(by_route, key=lambda each: each[0].route_id):
            self._retry_together(list(group))

    def _retry_together(self, group: Sequence[tuple[DueLetter, Unit]]) -> None:
        """Try the keys of one route in one transaction, or each by itself if an outage holds them up together."""
        first = group[0][0]
        route, bound = self._routes[first.route_id]
        try:
            outcomes = self._resolver.retry([unit for _, unit in group], route, bound, at_most=self._at_most)
        except TryAgainError as error:
            if is_connection_loss(error):
                raise
            if len(group) > 1:
                for each in group:
                    self._retry_together([each])
                return
            AUTOMATIC_RETRIES.labels("put_off").inc()
            log().warning("retry-put-off", dead_letter=first.dead_letter_id, route=route.name, error=str(error))
            return
        for letter, unit in group:
            self._note(letter, route, outcomes[unit])

    def _note(self, letter: DueLetter, route: Route, outcome: Retried) -> None:
        AUTOMATIC_RETRIES.labels("failed" if outcome.failed else "done").inc()
        log().info(
            "letter-retried",
            dead_letter=letter.dead_letter_id,
            route=route.name,
            retry=letter.retries + 1,
            applied=outcome.applied,
            failed=len(outcome.failed),
            still_waiting=outcome.waiting,
        )


def _unit(letter: DueLetter, *, any_order: bool) -> Unit:
    return Unit(
        route_id=letter.route_id,
        partition_id=letter.partition_id,
        key=None if any_order else letter.key,
        ids=(letter.dead_letter_id,),
    )
