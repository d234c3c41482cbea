"""Take records from Kafka, and stay a member of the group while none may be taken."""

from inbox.sink.worker.context import WorkerContext

POLL_SECONDS = 0.1
_SLOW_SECONDS = 1.0


class Polling:
    """The polls of one worker: each takes as many records as its batch has room for."""

    def __init__(self, context: WorkerContext) -> None:
        self._consumer = context.consumer
        self._writer = context.writer
        self._assignment = context.assignment
        self._accumulator = context.accumulator
        self._retry = context.retry
        self._context = context
        self._paused = False

    def place(self) -> None:
        """Seek in the partitions whose offset the ledger gave."""
        for partition, offset, leader_epoch in self._assignment.to_place():
            if self._consumer.seek(partition, offset, leader_epoch):
                self._assignment.placed(partition)
                self._context.commits.remind_soon()
                if self._paused:
                    self._consumer.pause([partition])

    def poll_what_came_meanwhile(self) -> None:
        """Take the records that came while the writer was busy; otherwise they would wait for one more batch."""
        if (
            self._accumulator.batch
            and not self._writer.busy
            and not self._waits_long()
            and (room := self._accumulator.room)
        ):
            self._accumulator.add(self._consumer.poll(room, wait_seconds=0))

    def poll(self) -> None:
        """Take records, or wait a little for the writer."""
        if self._waits_long():
            self._keep_polling()
            return
        self._resume()
        room = self._accumulator.room
        if not self._writer.busy:
            self._accumulator.add(self._consumer.poll(max(1, room), wait_seconds=POLL_SECONDS))
        elif room:
            before = self._accumulator.batch.records
            self._accumulator.add(self._consumer.poll(room, wait_seconds=0))
            if self._accumulator.batch.records == before:
                self._writer.wait(0.005)
        else:
            self._writer.wait(0.05)

    def _waits_long(self) -> bool:
        # The next try of unproven events includes the records that came meanwhile.
        proving = self._retry.is_unproven and self._retry.is_pause_over()
        if self._retry.has_batch or self._accumulator.stops or (self._retry.fails and not proving):
            return True
        return self._writer.busy and self._context.clock() - self._context.submitted_at > _SLOW_SECONDS

    def _keep_polling(self) -> None:
        """Stay a member of the group while the database is away or slow."""
        if not self._paused:
            self._consumer.pause(self._assignment.all_active())
            self._paused = True
        self._accumulator.add(self._consumer.poll(1, wait_seconds=0.02 if self._writer.busy else POLL_SECONDS))

    def _resume(self) -> None:
        if self._paused:
            self._consumer.resume(self._assignment.all_active())
            self._paused = False
