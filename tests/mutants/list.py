"""Deliberate breakages of the delivery path, each with the tests that have to fail for it."""

from dataclasses import dataclass

LEDGER = "tests/integration/store/inbox/test_ledger.py"
PROCESSED = "tests/integration/store/inbox/test_claims.py"
AT_ONCE = "tests/integration/sink/settle/test_fast_path.py"
IN_FLIGHT = "tests/integration/sink/settle/test_commit_in_flight.py"
FLIGHTS = "tests/integration/sink/settle/test_parts.py"
PROGRESS = "tests/integration/store/inbox/test_progress.py"
ELEMENTS = "tests/integration/store/tables/test_elements.py"
MERGE = "tests/integration/store/tables/test_merge.py"
FILTERS = "tests/integration/store/inbox/filters/test_claim_filters.py"
GENERATIONS = "tests/integration/store/inbox/test_generations.py"
PRUNING = "tests/integration/store/inbox/test_pruning.py"
TRANSACTION = "tests/integration/sink/settle/test_transaction.py"
EVENTS = "tests/integration/sink/test_events.py"
HANDLERS = "tests/integration/sink/test_handlers.py"
IDENTITY = "tests/integration/sink/guards/test_topic_identity.py"
PARTITIONS = "tests/integration/sink/test_partitions.py"
RETRY = "tests/integration/operations/dead_letters/test_retry.py"
STALE = "tests/integration/operations/dead_letters/test_stale_plans.py"
MISSING_ROWS = "tests/integration/store/tables/test_missing_rows.py"
DISCARDED = "tests/integration/sink/formats/test_discarded.py"
SET_ASIDE = "tests/integration/operations/replay/test_set_aside_again.py"
ADOPT = "tests/integration/operations/test_adopt.py"
PAYLOADS = "inbox/reading/payload_hash.py"
EDIT = "tests/integration/operations/dead_letters/test_edit.py"
BY_ITSELF = "tests/integration/sink/test_automatic_retries.py"
LETTER_LIMIT = "tests/integration/sink/guards/test_dead_letter_limit.py"
WITHOUT_CLAIMS = "tests/integration/sink/test_routes_without_claims.py"
REPLAY = "tests/integration/operations/replay/test_replay.py"
PACE = "tests/integration/sink/test_pace.py"
HOLD = "tests/integration/operations/hold/test_hold.py"
RESUME = "tests/integration/operations/resume/test_resume.py"
SUSPECTS = "tests/integration/store/inbox/test_crash_poison.py"
EVIDENCE = "tests/integration/sink/settle/test_evidence.py"
ONE_STATE = "tests/integration/sink/settle/test_one_state.py"
AUDIT = "tests/integration/operations/audit/test_audit.py"
RESOLVED = "tests/unit/sink/settle/test_resolved.py"
INTAKE = "tests/unit/sink/test_accumulator.py"
UNREADABLE = "tests/integration/sink/test_unreadable.py"
MISTAKES = "tests/integration/sink/test_handler_mistakes.py"
DEBEZIUM = "tests/unit/reading/envelopes/test_debezium.py"
DECODED = "tests/unit/sink/test_decoder_envelopes.py"
ENVELOPES = "tests/integration/store/tables/test_envelopes.py"
CHANGES = "tests/unit/reading/test_changes.py"
POSITION = "tests/unit/reading/envelopes/test_debezium_position.py"
AVRO = "tests/unit/reading/formats/test_avro.py"
AVRO_PROGRAM = "tests/unit/reading/formats/test_avro_program.py"
FRAMING = "tests/unit/reading/formats/test_framing.py"
REGISTRY = "tests/unit/kafka/registry/test_schemas.py"
CONNECT_JSON = "tests/unit/reading/formats/test_connect_json.py"
MARKED = "tests/integration/security/test_marked_secret.py::test_no_way_to_fail_shows_what_is_in_an_event"
RELEASED = "tests/integration/sink/settle/test_released.py"
DURABILITY = "tests/integration/cli/test_durability.py"

RELAY = "tests/integration/relay/test_relay.py"
LEASE = "tests/integration/relay/test_lease.py"
TERM = "inbox/relay/term.py"
TERMS = "tests/unit/relay/test_term.py"
OUTGOING = "inbox/relay/in_flight.py"
RECORDER = "inbox/relay/sent_marker.py"
EXISTING = "tests/integration/relay/test_external_table.py"
EXISTING_OUTBOX = "inbox/store/outbox/external_table.py"
OUTBOX_RETENTION = "tests/integration/store/outbox/test_retention.py"

PINNED = "tests/integration/store/postgres/test_session_settings.py"
POOLED_HANDLERS = "tests/integration/pooler/test_handlers.py"
POOLED = "tests/integration/pooler/test_commands.py"

PLAIN = "tests/integration/store/tables/test_plain_rows.py"
READINGS = "tests/integration/store/tables/test_readings.py"

PARTITIONS_SQL = "inbox/store/sql/partitions.sql"
GUARDS_SQL = "inbox/store/schema/guards/0007.sql"
SINK_LOGIN = "tests/integration/security/test_sink_login.py"
PROCESSED_SQL = "inbox/store/sql/processed.sql"
REPLAYS_SQL = "inbox/store/sql/replays.sql"


@dataclass(frozen=True)
class Mutant:
    """`original` stands once in the file at `path`, and becomes `mutated`; one of `killed_by` has to fail then."""

    name: str
    path: str
    original: str
    mutated: str
    killed_by: tuple[str, ...]


MUTANTS = [
    Mutant(
        "the budget of events counts each worker alone",
        "inbox/sink/pace.py",
        "budgets.take_turn(_BUDGET, events,",
        'budgets.take_turn(f"{_BUDGET} {id(self)}", events,',
        (f"{PACE}::test_workers_share_the_budget",),
    ),
    Mutant(
        "a hold is forgotten by a restart",
        "inbox/sink/settle/ownership.py",
        "        return self._with_holds(\n            [\n",
        "        return list(\n            [\n",
        (f"{HOLD}::test_a_hold_outlives_a_restart",),
    ),
    Mutant(
        "a busy worker does not look for holds",
        "inbox/sink/worker/next_job.py",
        "_BUSY_SECONDS = 2.0\n",
        "_BUSY_SECONDS = 3600.0\n",
        ("tests/unit/sink/test_next_job.py::test_batches_follow_each_other_and_the_ledger_is_read_in_between",),
    ),
    Mutant(
        "a route without claims ignores the ledger when records come again",
        "inbox/sink/accumulator.py",
        "            again=each.taken < each.reached,\n",
        "",
        (
            f"{WITHOUT_CLAIMS}::test_a_ledger_that_was_set_back_by_hand_finds_duplicates",
            f"{WITHOUT_CLAIMS}::test_a_resume_in_the_same_log_brings_duplicates_alone",
        ),
    ),
    Mutant(
        "skip-applied runs below the ledger on a route without claims",
        "inbox/sink/settle/settled_before.py",
        "                if record.offset() in settled[partition_id]:\n",
        "                if record.offset() in settled[partition_id] and replay is None:\n",
        (f"{WITHOUT_CLAIMS}::test_what_the_ledger_has_stays_as_it_is",),
    ),
    Mutant(
        "what a replay settles for an added route without claims is not written down",
        "inbox/sink/settle/settled_before.py",
        "                self._ranges.add(part.partition_id, route.route_id, range(part.before, part.after))\n",
        "                pass\n",
        (f"{WITHOUT_CLAIMS}::test_a_second_replay_runs_nothing",),
    ),
    Mutant(
        "a route without claims settled all that the ledger passed",
        PARTITIONS_SQL,
        "SELECT s.partition_id, s.route_id, s.from_offset, p.reached_offset\n",
        "SELECT s.partition_id, s.route_id, 0, p.reached_offset\n",
        (f"{WITHOUT_CLAIMS}::test_a_replay_from_the_start_runs_the_added_route_alone",),
    ),
    Mutant(
        "a forced replay leaves the dead letter of what it applies open",
        "inbox/sink/settle/all_routes.py",
        "        result.applied_again = applied_again(route, left, result)\n",
        "",
        (f"{WITHOUT_CLAIMS}::test_what_a_forced_replay_applies_is_a_dead_letter_no_more",),
    ),
    Mutant(
        "a member that is absent is null in mode merge",
        "inbox/store/tables/changes/absences.py",
        "    leaves = mode is TableMode.MERGE and not source.required\n",
        "    leaves = mode is TableMode.MERGE and source.required\n",
        (f"{MERGE}::test_null_is_written_and_an_absent_member_is_left",),
    ),
    Mutant(
        "the rows that an event no longer has stay",
        "inbox/store/tables/writer.py",
        "                connection.execute(statements.replace, parameters)\n",
        "",
        (f"{ELEMENTS}::test_replaces_deletes_what_the_event_no_longer_has",),
    ),
    Mutant(
        "a merge writes what the events had before",
        "inbox/store/tables/changes/absences.py",
        "        if name not in self.conditions or name in self.split:\n",
        "        if name in self.conditions or name in self.split:\n",
        (f"{MERGE}::test_what_another_session_writes_meanwhile_is_not_undone",),
    ),
    Mutant(
        "headers are no bytes of a batch",
        "inbox/sink/decoder.py",
        "            size += _size_of(headers)\n",
        "            pass\n",
        (f"{INTAKE}::test_keys_and_headers_are_bytes_of_the_batch",),
    ),
    Mutant(
        "what waits for the next batch is passed over",
        "inbox/sink/accumulator.py",
        "        events_left = 0 if self._full else self.limit.records - self.batch.records\n",
        "        events_left = self.limit.records - self.batch.records\n",
        (f"{INTAKE}::test_what_waits_is_not_passed_over_by_what_comes_while_the_batch_has_room_again",),
    ),
    Mutant(
        "an outage is parked because of its code",
        "inbox/sink/settle/fault/blame.py",
        "    if guess is not Guess.EVENT or seen.in_a_row >= HANDFUL:\n        return Blame.DATABASE\n"
        "    return Blame.DATABASE if seen.probe is Probe.REFUSED and seen.repeatable else Blame.EVENT\n",
        "    return Blame.EVENT if guess is Guess.EVENT else Blame.DATABASE\n",
        (f"{EVIDENCE}::test_what_fails_for_every_event_is_an_outage",),
    ),
    Mutant(
        "an update writes the row before it",
        "inbox/reading/envelopes/debezium.py",
        '"u": "after"',
        '"u": "before"',
        (
            f"{DEBEZIUM}::test_a_create_a_read_and_an_update_write_after",
            f"{ENVELOPES}::test_the_row_after_a_change_is_written_with_every_digit",
        ),
    ),
    Mutant(
        "a logical message is a change",
        "inbox/reading/envelopes/debezium.py",
        '    if op == "m":\n        return None\n',
        "",
        (f"{DEBEZIUM}::test_a_logical_message_writes_nothing",),
    ),
    Mutant(
        "the tombstone behind a delete is an event",
        "inbox/reading/changes.py",
        "    if not in_document and found == Decoded():"
        "  # the tombstone that Debezium sends behind a delete, for compaction\n",
        "    if False:\n",
        (f"{DECODED}::test_the_tombstone_behind_a_delete_and_a_logical_message_are_filtered",),
    ),
    Mutant(
        "the id of a change forgets its place in the log",
        "inbox/reading/envelopes/debezium_position.py",
        "for name in (*_TABLE, *fields)",
        "for name in _TABLE",
        (f"{POSITION}::test_a_usual_source_has_the_position_that_its_fields_have_one_by_one",),
    ),
    Mutant(
        "the id of a usual change forgets its place in the log",
        "inbox/reading/envelopes/debezium_position.py",
        "[name for name in (*_TABLE, *_FIELDS[connector][0]) if name != absent]",
        "[name for name in _TABLE if name != absent]",
        (f"{DECODED}::test_a_change_that_a_connector_repeats_has_its_id_and_its_payload_again",),
    ),
    Mutant(
        "the row of a change is cut out of a document with members that nobody knows",
        "inbox/reading/envelopes/debezium_split.py",
        "class _Change(msgspec.Struct, forbid_unknown_fields=True, gc=False):",
        "class _Change(msgspec.Struct, gc=False):",
        (f"{CHANGES}::test_both_ways_say_the_same_of_a_change",),
    ),
    Mutant(
        "the position of a change may hold a number that C alters",
        "inbox/reading/envelopes/debezium_position.py",
        "Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]",
        "Int64 = int | float",
        (f"{CHANGES}::test_both_ways_say_the_same_of_a_change",),
    ),
    Mutant(
        "the row of a change is cut out whatever its numbers",
        "inbox/reading/envelopes/debezium_split.py",
        "    is_usual = is_ordinary(text) and",
        "    is_usual = True and",
        (f"{CHANGES}::test_both_ways_say_the_same_of_a_change",),
    ),
    Mutant(
        "the payload of a change with a time is not that of earlier versions",
        "inbox/reading/changes.py",
        "orjson.dumps(said, default=_members_of)",
        "orjson.dumps(said)",
        (f"{CHANGES}::test_the_payload_of_a_change_is_that_which_earlier_versions_claimed",),
    ),
    Mutant(
        "an earlier member of the same name is not looked at",
        "inbox/reading/envelopes/debezium_split.py",
        "        if not document.startswith(_BEGINNING % (text_before, text)):\n            return None\n",
        "",
        (f"{CHANGES}::test_both_ways_say_the_same_of_a_change",),
    ),
    Mutant(
        "an event that a forced replay sets aside keeps its older claim",
        "inbox/sink/settle/slow_path.py",
        "        self._claiming.release(self._events, sorted(part.letters))\n",
        "",
        (
            "tests/integration/operations/replay/test_replay.py::"
            "test_a_forced_event_that_waits_behind_one_of_an_earlier_batch_takes_effect_once_more",
        ),
    ),
    Mutant(
        "a forced replay asks for the claim of an event without an id",
        "inbox/sink/settle/claims.py",
        "        indexes = [index for index in indexes if events.ids[index] != NO_ID]\n",
        "",
        (f"{SET_ASIDE}::test_a_forced_replay_goes_over_an_event_without_an_id",),
    ),
    Mutant(
        "a discarded event waits in a replay",
        "inbox/sink/settle/settled_before.py",
        "if event_id != NO_ID and (partition_id, record.offset()) in given_up",
        "if False",
        (f"{SET_ASIDE}::test_a_discarded_event_does_not_wait_in_a_forced_replay",),
    ),
    Mutant(
        "a cut event is whole once it was parked for another reason",
        "inbox/sink/letters/events.py",
        '    return came.value() == b"" and letter.payload_hash not in (None, payload_hash(came))\n',
        "    return False\n",
        (f"{SET_ASIDE}::test_a_handler_never_receives_the_empty_rest_of_a_cut_event",),
    ),
    Mutant(
        "what a route makes of a redacted event closes its dead letter",
        "inbox/sink/letters/events.py",
        "            if missing is None:\n                continue\n",
        "            continue\n",
        (f"{SET_ASIDE}::test_a_retry_does_not_close_a_dead_letter_whose_type_is_gone",),
    ),
    Mutant(
        "a delete is given to a route that expects none",
        "inbox/sink/decoder.py",
        "if reading is None or (reading[0].deletes and reader.tombstones is not None):",
        "if reading is None:",
        ("tests/unit/sink/test_decoder_envelopes.py::test_a_delete_follows_the_routes_tombstones",),
    ),
    Mutant(
        "a removal among rows is taken for a row",
        "inbox/store/tables/enveloped_rows.py",
        "    return set(map(type, records)) == _ROWS\n",
        "    return _ROWS <= set(map(type, records))\n",
        (f"{ENVELOPES}::test_a_truncate_removes_what_was_there_before_it_alone",),
    ),
    Mutant(
        "a schema id in a header does not count behind a frame that is known",
        "inbox/reading/formats/framed_rows.py",
        "            if name == self._header:\n",
        "            if False:\n",
        ("tests/unit/reading/formats/test_framed_rows.py::test_a_header_with_an_id_counts_whatever_came_before",),
    ),
    Mutant(
        "the times of reading are a part of the payload",
        PAYLOADS,
        "    if isinstance(record, ReadRecord) and record.content is not None:\n",
        "    if False:\n",
        (f"{DECODED}::test_a_change_that_a_connector_repeats_has_its_id_and_its_payload_again",),
    ),
    Mutant(
        "a truncate removes the rows behind it too",
        "inbox/store/tables/writing/rounds.py",
        "        empties = self._sent.empties(events)\n",
        "        empties = False\n",
        (f"{ENVELOPES}::test_a_truncate_removes_what_was_there_before_it_alone",),
    ),
    Mutant(
        "the scale of a decimal is dropped",
        "inbox/reading/values.py",
        ", signed=True)), -scale)\n",
        ", signed=True)), 0)\n",
        (f"{CONNECT_JSON}::test_a_value_has_the_type_and_the_unit_of_its_schema",),
    ),
    Mutant(
        "days are read as milliseconds",
        "inbox/reading/formats/logical_types.py",
        '    "io.debezium.time.Date": _DAYS,\n',
        '    "io.debezium.time.Date": _of_number(lambda value: Date(value // 86_400_000), "int32"),\n',
        (f"{CONNECT_JSON}::test_a_value_has_the_type_and_the_unit_of_its_schema",),
    ),
    Mutant(
        "a null payload is an empty row",
        "inbox/reading/formats/connect/reader.py",
        "        if raw is None:\n            return None\n",
        "        if raw is None:\n            return {}\n",
        (f"{CONNECT_JSON}::test_a_null_payload_is_none",),
    ),
    Mutant(
        "a missing partition is the event's fault because of its code",
        "inbox/store/postgres/errors.py",
        "        return Guess.NO_PARTITION\n",
        "        return Guess.EVENT\n",
        (f"{EVIDENCE}::test_a_month_without_a_partition_is_an_outage_from_its_first_event_on",),
    ),
    Mutant(
        "a lone failure blocks for ever because of its code",
        "inbox/sink/settle/fault/blame.py",
        "    if seen.passed or seen.probe is Probe.PASSED:\n        return Blame.EVENT\n",
        "    if guess is not Guess.EVENT:\n        return Blame.DATABASE\n"
        "    if seen.passed or seen.probe is Probe.PASSED:\n        return Blame.EVENT\n",
        (f"{EVIDENCE}::test_an_event_that_fails_while_others_pass_is_parked_alone",),
    ),
    Mutant(
        "a success is evidence about a failure of another state of the database",
        "inbox/sink/settle/fault/doubts.py",
        "            self._confirm(compared)\n",
        "            pass\n",
        (f"{ONE_STATE}::test_a_partition_that_is_created_between_two_tries_parks_no_event",),
    ),
    Mutant(
        "events are parked by a shape that their table no longer has",
        "inbox/sink/settle/slow_path.py",
        "            self._route.effect.require_unchanged()\n            self._doubts.weigh()\n",
        "            self._doubts.weigh()\n",
        (f"{EVIDENCE}::test_events_are_judged_by_the_shape_that_the_table_has",),
    ),
    Mutant(
        "a search that fails stops the worker",
        "inbox/store/tables/writer.py",
        "            return self._search.find(connection, events)\n        except InboxError as error:\n"
        "            if error.refusal is None or connection.closed:\n",
        "            return self._search.find(connection, events)\n        except InboxError as error:\n"
        "            if True:\n",
        (f"{EVIDENCE}::test_a_search_that_is_refused_leaves_it_to_the_groups",),
    ),
    Mutant(
        "the fence does not compare the owner epoch",
        PARTITIONS_SQL,
        "    AND p.owner_epoch = mine.owner_epoch\n",
        "",
        (f"{LEDGER}::test_a_fence_that_does_not_find_the_ledger_as_it_was_moves_nothing",),
    ),
    Mutant(
        "the fence does not compare the generation",
        PARTITIONS_SQL,
        "        AND (SELECT generation FROM {schema}.sink) = %(generation)s\n",
        "        AND (SELECT generation FROM {schema}.sink) >= %(generation)s\n",
        (f"{GENERATIONS}::test_a_batch_of_the_generation_before_is_fenced",),
    ),
    Mutant(
        "the switch to another generation waits for nobody",
        GUARDS_SQL,
        "IN SHARE ROW EXCLUSIVE MODE",
        "IN ACCESS SHARE MODE",
        (f"{GENERATIONS}::test_a_switch_waits_for_a_batch_with_claims",),
    ),
    Mutant(
        "an audit passes over the first claim past all that was settled",
        "inbox/store/sql/audit.sql",
        "OR c.kafka_offset >= p.reached_offset)",
        "OR c.kafka_offset > p.reached_offset)",
        (f"{AUDIT}::test_a_claim_past_all_that_its_partition_settled_is_found",),
    ),
    Mutant(
        "a filter is built in as many snapshots as pieces",
        "inbox/store/inbox/filters/claim_filters.py",
        "        with snapshot(self._connection):\n            row =",
        "        with transaction(self._connection):\n            row =",
        (f"{FILTERS}::test_a_claim_that_moves_within_its_table_while_the_filter_is_built_is_in_it",),
    ),
    Mutant(
        "a filter forgets the generations that share it",
        "inbox/store/inbox/filters/claim_filters.py",
        "            if stored:\n",
        "            if False:\n",
        (f"{FILTERS}::test_what_a_filter_passes_over_has_no_claim",),
    ),
    Mutant(
        "of a filter that was read in part the whole is believed",
        "inbox/store/inbox/filters/claim_filters.py",
        "        if 8 * size != 2**power:\n",
        "        if False:\n",
        (f"{FILTERS}::test_a_stored_filter_of_which_a_part_is_missing_is_not_believed",),
    ),
    Mutant(
        "what was known is believed while it is read again",
        "inbox/store/inbox/claims.py",
        "        known, self.older = self.older, OlderClaims()\n",
        "        known = self.older\n",
        (f"{FILTERS}::test_nothing_is_known_once_filters_could_not_be_read",),
    ),
    Mutant(
        "what has no filter yet is not looked up",
        "inbox/store/inbox/claims.py",
        "        if len(unknown) == 1:\n",
        "        if False:\n",
        (f"{FILTERS}::test_what_has_no_filter_yet_is_looked_up",),
    ),
    Mutant(
        "the claims go before the horizon is raised",
        "inbox/operations/retention/prune.py",
        "            if not self._generations.raise_horizon(each.number):\n",
        "            if False:\n",
        (f"{PRUNING}::test_the_horizon_is_raised_before_the_claims_go",),
    ),
    Mutant(
        "the horizon is raised over a replay under way",
        GUARDS_SQL,
        "p.partition_id = locked.partition_id AND NOT held.up\n",
        "p.partition_id = locked.partition_id\n",
        (f"{GENERATIONS}::test_the_horizon_is_not_raised_over_a_replay_under_way",),
    ),
    Mutant(
        "an id that comes again stays in its old generation",
        "inbox/store/inbox/claims.py",
        "        if claimed_before:\n",
        "        if False:\n",
        (f"{GENERATIONS}::test_an_id_that_comes_again_from_elsewhere_is_kept_with_the_youngest",),
    ),
    Mutant(
        "what is settled again is counted in progress again",
        PARTITIONS_SQL,
        "    FROM moved WHERE above\n",
        "    FROM moved\n",
        (f"{PROGRESS}::test_what_is_settled_again_counts_no_second_time",),
    ),
    Mutant(
        "a part of a batch lies on both sides of what was reached",
        "inbox/sink/accumulator.py",
        "            if border is not None and offset >= border:\n",
        "            if False and border is not None:\n",
        (f"{INTAKE}::test_what_is_settled_again_is_in_no_part_with_what_never_was",),
    ),
    Mutant(
        "the fence does not compare the owner",
        PARTITIONS_SQL,
        "    AND p.owner = %(owner)s\n",
        "",
        (f"{LEDGER}::test_another_owner_is_fenced_even_with_the_right_epoch",),
    ),
    Mutant(
        "the fence does not compare the offset",
        PARTITIONS_SQL,
        "    AND p.next_offset = mine.before\n",
        "",
        (f"{TRANSACTION}::test_an_offset_that_moved_on_under_the_batch_is_not_settled_twice",),
    ),
    Mutant(
        "the fence does not compare the set of routes",
        PARTITIONS_SQL,
        "    AND (SELECT routes_revision FROM {schema}.sink) = %(routes_revision)s\n",
        "",
        (f"{LEDGER}::test_a_worker_of_another_set_of_routes_is_fenced",),
    ),
    Mutant(
        "what the fence says is ignored",
        "inbox/sink/settle/settler.py",
        "                if fenced:\n",
        "                if False:\n",
        (f"{TRANSACTION}::test_while_another_worker_owns_the_partition_nothing_is_written",),
    ),
    Mutant(
        "a new owner does not raise the epoch",
        PARTITIONS_SQL,
        "    owner_epoch = owner_epoch + 1,\n    owner_pid",
        "    owner_epoch = owner_epoch,\n    owner_pid",
        (f"{LEDGER}::test_acquiring_raises_the_owner_epoch",),
    ),
    Mutant(
        "a retry does not fence the batch at hand",
        PARTITIONS_SQL,
        "UPDATE {schema}.partitions SET owner_epoch = owner_epoch + 1 WHERE partition_id",
        "UPDATE {schema}.partitions SET owner_epoch = owner_epoch WHERE partition_id",
        (f"{RETRY}::test_a_retry_between_the_sinks_reading_of_parked_keys_and_its_fence_leaves_nothing_waiting",),
    ),
    Mutant(
        "a worker retries dead letters of another worker's partition",
        PARTITIONS_SQL,
        "WHERE partition_id = %(partition_id)s AND owner = %(owner)s FOR NO KEY UPDATE",
        "WHERE partition_id = %(partition_id)s AND %(owner)s <> '' FOR NO KEY UPDATE",
        (f"{BY_ITSELF}::test_a_worker_tries_nothing_in_a_partition_of_another",),
    ),
    Mutant(
        "a retry ignores the order of a key",
        "inbox/store/sql/dead_letters.sql",
        ") AS open\nORDER BY kafka_offset LIMIT %(limit)s;",
        ") AS open\nORDER BY kafka_offset DESC LIMIT %(limit)s;",
        (f"{RETRY}::test_a_retry_applies_the_events_of_a_key_in_order",),
    ),
    Mutant(
        "a key of a retry holds no later event of its own behind a failure",
        "inbox/sink/letters/resolver.py",
        "Order.NONE if limits.order is Order.NONE else Order.KEY",
        "Order.NONE",
        (f"{RETRY}::test_a_key_that_fails_again_undoes_no_other_of_its_transaction",),
    ),
    Mutant(
        "an edit overwrites what was resolved meanwhile",
        "inbox/store/sql/dead_letters.sql",
        "WHERE dead_letter_id = %(dead_letter_id)s AND state IN ('parked', 'waiting');",
        "WHERE dead_letter_id = %(dead_letter_id)s;",
        (f"{STALE}::test_an_edit_of_what_somebody_resolved_meanwhile_is_refused",),
    ),
    Mutant(
        "a plan is carried out although another worker owns the partition since it was shown",
        "inbox/operations/dead_letters/plan.py",
        'return plan_token({"letters": letters, "epochs": epochs})',
        'return plan_token({"letters": letters})',
        (f"{STALE}::test_a_plan_is_out_of_date_once_another_worker_owns_the_partition",),
    ),
    Mutant(
        "a key that an outage holds up holds up those that are retried with it",
        "inbox/sink/letters/due.py",
        "            if len(group) > 1:\n",
        "            if False:\n",
        (f"{BY_ITSELF}::test_a_key_that_an_outage_holds_up_holds_up_no_other_that_is_due",),
    ),
    Mutant(
        "a retry by itself leaves the order of its key",
        "inbox/sink/letters/due.py",
        "        key=None if any_order else letter.key,\n",
        "        key=None,\n",
        (f"{BY_ITSELF}::test_a_parked_key_is_tried_again_in_its_order_and_new_events_follow",),
    ),
    Mutant(
        "a retry by itself is not counted before it is made",
        "inbox/store/sql/dead_letters.sql",
        "SET retries = d.retries + 1, retry_at",
        "SET retries = d.retries, retry_at",
        (f"{BY_ITSELF}::test_a_try_that_ends_the_process_is_counted_before_it_is_made",),
    ),
    Mutant(
        "an edit loses what came",
        "inbox/store/sql/dead_letters.sql",
        "original_value = CASE WHEN edited_at IS NULL THEN value ELSE original_value END",
        "original_value = value",
        (f"{EDIT}::test_the_first_value_is_kept_beside_the_new_one",),
    ),
    Mutant(
        "the claim of an edited event forgets what came",
        PAYLOADS,
        "    if isinstance(came, AlteredRecord):\n",
        "    if False:\n",
        (f"{EDIT}::test_a_retry_applies_the_new_value_once_and_in_order",),
    ),
    Mutant(
        "a join with an empty table reads no event",
        "inbox/store/tables/changes/existing.py",
        'sql.SQL("(SELECT pg_catalog.count(*) FROM {}) OPERATOR(pg_catalog.>=) 0").format(rows)',
        'sql.SQL("true")',
        (f"{MISSING_ROWS}::test_an_event_without_a_row_is_refused_if_it_is_not_valid",),
    ),
    Mutant(
        "a delete from an empty table reads no key",
        "inbox/store/tables/statements/deletes.py",
        "            read=all_read(ROWS),\n",
        '            read=sql.SQL("true"),\n',
        (f"{MISSING_ROWS}::test_a_tombstone_whose_key_is_not_valid_is_refused_although_no_row_is_there",),
    ),
    Mutant(
        "a discard claims the bytes of what was read otherwise",
        "inbox/sink/letters/events.py",
        "    return letter.payload_hash or payload_hash(",
        "    return payload_hash(",
        (f"{DISCARDED}::test_a_repeat_of_a_discarded_event_is_dropped",),
    ),
    Mutant(
        "the hash of a dead letter is that of its bytes",
        "inbox/store/inbox/dead_letters.py",
        'payload_hash(record), "big"',
        "payload_hash(getattr(record, 'record', record)), \"big\"",
        (f"{DISCARDED}::test_a_repeat_of_a_discarded_event_is_dropped",),
    ),
    Mutant(
        "a claim of bytes is no claim of what they say",
        PAYLOADS,
        "known == payload_hash(record) or (",
        "known == payload_hash(record) or False and (",
        (f"{DISCARDED}::test_bytes_that_can_be_read_later_are_a_duplicate_and_others_are_not",),
    ),
    Mutant(
        "the repeat of what cannot be read is parked again",
        "inbox/sink/settle/claims.py",
        "[index for index in indexes if self._may_be_repeat(events, index)] if events.refused else []",
        "[]",
        (f"{DISCARDED}::test_a_repeat_of_a_discarded_event_that_cannot_be_read_is_dropped",),
    ),
    Mutant(
        "whatever cannot be read under a claimed id is dropped",
        "inbox/sink/settle/claims.py",
        "claim.address == address_of(record) or has_payload(record, claim.payload_hash)",
        "True",
        (f"{DISCARDED}::test_a_repeat_of_a_discarded_event_that_cannot_be_read_is_dropped",),
    ),
    Mutant(
        "an event that cannot be read has no id",
        "inbox/sink/decoder.py",
        "    if reader.id_needs_reading:\n        return NO_ID\n",
        "    return NO_ID\n",
        (f"{DISCARDED}::test_a_repeat_of_a_discarded_event_that_cannot_be_read_is_dropped",),
    ),
    Mutant(
        "the claim of a cut event has the hash of nothing",
        "inbox/sink/too_large.py",
        "        claim_hash=payload_hash(record),\n",
        "        claim_hash=bytes(8),\n",
        (f"{DISCARDED}::test_the_repeat_of_a_discarded_event_that_is_too_large_is_dropped",),
    ),
    Mutant(
        "an adopted event has a payload",
        "inbox/sink/settle/claims.py",
        "in (claims.hashes[index], UNKNOWN_PAYLOAD)",
        "in (claims.hashes[index],)",
        (f"{ADOPT}::test_the_payload_of_an_adopted_event_stays_unknown_when_it_was_applied_again",),
    ),
    Mutant(
        "the answer ROLLBACK to a COMMIT is taken for success",
        "inbox/store/postgres/batch_transaction.py",
        'if tag != "COMMIT":',
        "if tag is None:",
        (f"{TRANSACTION}::test_a_commit_that_the_server_answers_with_rollback_is_no_success",),
    ),
    Mutant(
        "a fence in flight refuses nothing",
        PARTITIONS_SQL,
        "    CASE WHEN count(*) < %(required)s\n",
        "    CASE WHEN false\n",
        (f"{IN_FLIGHT}::test_what_a_fence_refuses_in_flight_is_not_committed",),
    ),
    Mutant(
        "a COMMIT in flight is not behind the fence",
        "inbox/sink/flight.py",
        "        self._store.ledger.send_fence(\n",
        "        self._transaction.send_commit()\n        self._store.ledger.send_fence(\n",
        (f"{IN_FLIGHT}::test_a_changed_set_of_routes_stops_a_flight",),
    ),
    Mutant(
        "no guard is asked before a COMMIT in flight",
        "inbox/sink/flight.py",
        "        self._guards.before_fence(self._outcome)\n",
        "",
        (f"{IN_FLIGHT}::test_what_a_guard_refuses_in_flight_is_not_committed",),
    ),
    Mutant(
        "what an earlier route sets aside is lost in a flight",
        "inbox/sink/flight.py",
        "return self._needs_no_answer() and not outcome.letters and",
        "return self._needs_no_answer() and",
        (f"{IN_FLIGHT}::test_what_one_route_parks_is_parked_although_the_next_would_end_in_flight",),
    ),
    Mutant(
        "a route without events writes behind a COMMIT in flight",
        "inbox/sink/settle/all_routes.py",
        "        work.sort(key=lambda each: bool(each[1].records))\n",
        "",
        (f"{WITHOUT_CLAIMS}::test_a_route_without_events_writes_down_what_it_settled_before_the_commit",),
    ),
    Mutant(
        "what a route without claims settled is undone with an attempt",
        "inbox/sink/settle/settled_before.py",
        "                self._transaction.keep()\n",
        "",
        (f"{WITHOUT_CLAIMS}::test_an_attempt_that_is_undone_leaves_what_the_route_settled_written_down",),
    ),
    Mutant(
        "a flight ends over look-ups that nobody read",
        "inbox/sink/settle/fast_path.py",
        "if self._flight is None or start or any(asked) or self._effect.counts_unknown:",
        "if self._flight is None or start or self._effect.counts_unknown:",
        (f"{AT_ONCE}::test_an_id_that_is_in_an_older_generation_is_a_duplicate",),
    ),
    Mutant(
        "a flight does not look at the table again",
        "inbox/sink/settle/fast_path.py",
        "                    self._effect.send_requirement()\n",
        "",
        (
            f"{IN_FLIGHT}::test_a_table_that_was_altered_between_flights_gets_the_values_of_its_new_types",
            f"{IN_FLIGHT}::test_a_trigger_that_changes_what_texts_mean_stops_a_flight",
        ),
    ),
    Mutant(
        "a flight trusts the settings of the session",
        "inbox/store/tables/shape.py",
        "        WHERE current_setting(name) <> value\n",
        "        WHERE false\n",
        (f"{IN_FLIGHT}::test_a_trigger_that_changes_what_texts_mean_stops_a_flight",),
    ),
    Mutant(
        "behind a pooler a transaction that begins in a pipeline is not pinned",
        "inbox/store/postgres/pinned_connection.py",
        "            if self._local_settings:\n",
        "            if False:\n",
        (f"{POOLED}::test_a_transaction_states_its_modes_and_settings_whatever_the_pool_holds",),
    ),
    Mutant(
        "an aborted transaction is committed",
        "inbox/store/postgres/batch_transaction.py",
        "        self._require_intact()\n        if self._handlers",
        "        if self._handlers",
        (f"{TRANSACTION}::test_an_aborted_transaction_is_not_even_committed",),
    ),
    Mutant(
        "a handler's own COMMIT goes unnoticed",
        "inbox/store/postgres/batch_transaction.py",
        "if self._transaction_id is not None and transaction_id not in (None, self._transaction_id):",
        "if False:",
        (f"{TRANSACTION}::test_a_transaction_that_was_ended_and_begun_anew_is_told_by_its_id",),
    ),
    Mutant(
        "deferred constraints are left to the COMMIT",
        "inbox/store/postgres/batch_transaction.py",
        "        if self.defers:\n",
        "        if False:\n",
        (f"{HANDLERS}::test_a_deferred_constraint_parks_its_event_alone",),
    ),
    Mutant(
        "a COMMIT in doubt: a raised epoch is overlooked",
        "inbox/sink/outcome.py",
        "if row is None or row.owner_epoch != part.owner_epoch:",
        "if row is None:",
        (f"{RESOLVED}::test_a_raised_epoch_fences_wherever_the_ledger_stands",),
    ),
    Mutant(
        "a COMMIT in doubt: a ledger that stands elsewhere is taken for the batch's",
        "inbox/sink/outcome.py",
        "        elif row.next_offset != part.before:\n",
        "        elif False:\n",
        (f"{RESOLVED}::test_a_ledger_that_stands_elsewhere_fences_the_batch",),
    ),
    Mutant(
        "a COMMIT in doubt: what is in the ledger is settled again",
        "inbox/sink/outcome.py",
        "        elif row.next_offset == part.after:\n            done.append(address)\n",
        "",
        (f"{RESOLVED}::test_a_ledger_that_stands_behind_the_batch_has_it",),
    ),
    Mutant(
        "Kafka is told before the COMMIT",
        "inbox/sink/worker/next_job.py",
        "            return Settle(context.accumulator.drain())\n",
        "            batch = context.accumulator.drain()\n"
        "            _ = [context.commits.add(address, part.after) for address, part in batch.partitions.items()]\n"
        "            return Settle(batch)\n",
        (f"{TRANSACTION}::test_kafka_is_told_of_a_batch_only_after_its_commit",),
    ),
    Mutant(
        "events are not claimed",
        "inbox/sink/settle/slow_path.py",
        "            self._claim(part)\n",
        "            part.new = part.indexes\n",
        (f"{EVENTS}::test_an_id_that_comes_again_is_applied_once_within_a_batch_and_across_batches",),
    ),
    Mutant(
        "claims of what was set aside stay",
        "inbox/store/inbox/claims.py",
        "        if ids:\n",
        "        if False:\n",
        (f"{RETRY}::test_a_retry_applies_the_events_of_a_key_in_order",),
    ),
    Mutant(
        "of equal ids in a batch the last wins",
        PROCESSED_SQL,
        "(SELECT unnest(%(older)s::uuid[])) ORDER BY event_id, place\n",
        "(SELECT unnest(%(older)s::uuid[])) ORDER BY event_id, place DESC\n",
        (f"{PROCESSED}::test_of_equal_ids_in_a_batch_the_first_wins",),
    ),
    Mutant(
        "a pipeline takes an id of an older generation for new",
        "inbox/sink/settle/fast_path.py",
        "        if any(map(any_found, asked[:stand])):\n",
        "        if False:\n",
        (f"{AT_ONCE}::test_an_id_that_is_in_an_older_generation_is_a_duplicate",),
    ),
    Mutant(
        "a pipeline that failed later takes an id of an older generation for new",
        "inbox/sink/settle/fast_path.py",
        "        if any(map(any_found, asked[:stand])):\n",
        "        if error is None and any(map(any_found, asked[:stand])):\n",
        (f"{FLIGHTS}::test_a_claim_of_an_older_generation_before_a_poison_event_is_met",),
    ),
    Mutant(
        "a pipeline that failed is taken for settled",
        "inbox/sink/settle/fast_path.py",
        "            stand, error = self._failed(failure, len(parts), ends=ending is not None)\n",
        "            stand, error = len(parts), None\n",
        (f"{AT_ONCE}::test_an_id_that_comes_again_is_a_duplicate",),
    ),
    Mutant(
        "the part of a pipeline that failed is taken to stand",
        "inbox/store/postgres/batch_transaction.py",
        "sum(mark.pgresult is not None for mark in self._marks)",
        "len(self._marks)",
        (f"{FLIGHTS}::test_only_the_part_of_a_poison_event_is_settled_with_care",),
    ),
    Mutant(
        "later events of a key that a part of a pipeline parked are sent at once",
        "inbox/sink/settle/fast_path.py",
        "if self._work.is_untroubled_from(start) else (start, None)",
        "if self._work.is_untroubled_from(0) or start else (start, None)",
        (f"{FLIGHTS}::test_later_events_of_a_parked_key_wait_though_they_are_of_another_part",),
    ),
    Mutant(
        "parts of a pipeline stand whose deferred constraints wait for a later one",
        "inbox/sink/settle/fast_path.py",
        "        return 0 if transaction.defers else reached, failure\n",
        "        return reached, failure\n",
        (f"{FLIGHTS}::test_a_deferred_constraint_is_not_blamed_on_an_event_of_a_later_part",),
    ),
    Mutant(
        "an event that refers to one of a later part is parked",
        "inbox/sink/settle/fast_path.py",
        "self._context.transaction.defers or is_foreign_key_violation(error)",
        "self._context.transaction.defers",
        (f"{FLIGHTS}::test_a_row_may_refer_to_one_of_a_later_part",),
    ),
    Mutant(
        "a statement is taken for prepared that was not executed",
        "inbox/store/postgres/pinned_connection.py",
        "            self._prepared.clear()\n",
        "",
        (f"{FLIGHTS}::test_what_a_failed_flight_did_not_prepare_is_not_taken_for_prepared",),
    ),
    Mutant(
        "a pipeline passes by what a deferred constraint refuses",
        "inbox/sink/settle/fast_path.py",
        "                transaction.check_deferred()\n",
        "",
        (f"{AT_ONCE}::test_a_deferred_constraint_parks_its_event_alone",),
    ),
    Mutant(
        "another payload under a known id is taken for a duplicate",
        "inbox/sink/settle/claims.py",
        "claim.address != here and not has_payload(record, claim.payload_hash)",
        "False",
        (f"{EVENTS}::test_one_id_with_another_payload_is_parked",),
    ),
    Mutant(
        "effects of a failed part stay",
        "inbox/sink/settle/slow_path.py",
        "            self._context.transaction.undo_step()\n            part.stood, part.failure",
        "            part.stood, part.failure",
        (f"{HANDLERS}::test_event_error_parks_at_once_and_takes_the_effect_back",),
    ),
    Mutant(
        "the ledger moves one offset too far",
        "inbox/sink/accumulator.py",
        "part.after = each.taken = offset + 1",
        "part.after = each.taken = offset + 2",
        (f"{INTAKE}::test_a_gap_in_the_log_is_settled_with_the_record_behind_it",),
    ),
    Mutant(
        "the first offset that is wanted is dropped",
        "inbox/sink/accumulator.py",
        "offset < each.taken",
        "offset <= each.taken",
        (f"{INTAKE}::test_a_slice_says_what_it_settles",),
    ),
    Mutant(
        "the leader epoch is not kept",
        "inbox/sink/accumulator.py",
        "part.leader_epoch = newest.leader_epoch()",
        "part.leader_epoch = None",
        (f"{INTAKE}::test_a_part_knows_the_leader_epoch_of_its_last_record",),
    ),
    Mutant(
        "aborted records are read",
        "inbox/kafka/options.py",
        '("read_committed",',
        '("read_uncommitted",',
        (f"{PARTITIONS}::test_until_end_of_a_topic_with_nothing_but_aborted_records",),
    ),
    Mutant(
        "a log start past the ledger is jumped to",
        "inbox/kafka/options.py",
        '"auto.offset.reset": ("error",',
        '"auto.offset.reset": ("earliest",',
        ("tests/unit/settings/test_reference_page.py::test_every_guarded_property_is_described_with_its_reason",),
    ),
    Mutant(
        "nobody asks whose log it is before the COMMIT",
        "inbox/sink/settle/settler.py",
        "                self._guards.before_fence(outcome)\n",
        "",
        (f"{IDENTITY}::test_a_topic_made_anew_and_longer_than_before_is_never_read_as_the_old_one",),
    ),
    Mutant(
        "the transaction of a stopped worker is waited for without end",
        "inbox/sink/settle/ownership.py",
        "            self._ledger.end_session(session)\n",
        "",
        (
            "tests/e2e/test_workers_lost.py::"
            "test_a_worker_stopped_in_its_transaction_holds_nobody_up_and_goes_on_as_a_good_member",
        ),
    ),
    Mutant(
        "claims of coordinates outlive a truncated log",
        "inbox/operations/resume/resume.py",
        "            self._forget_coordinates(step)\n",
        "",
        (f"{RESUME}::test_in_a_truncated_log_a_tombstone_known_by_its_coordinates_is_applied_too",),
    ),
    Mutant(
        "later events of a parked key are applied",
        "inbox/sink/settle/slow_path.py",
        "            if (key := self._aside.key_held_by(letter)) is not None:\n"
        "                scope = (letter.partition_id, key)\n",
        "            if False and (key := self._aside.key_held_by(letter)) is not None:\n"
        "                scope = (letter.partition_id, key)\n",
        (f"{EVENTS}::test_later_events_of_a_parked_key_wait_behind_it",),
    ),
    Mutant(
        "parked keys are forgotten with the process",
        "inbox/sink/settle/parked_keys.py",
        "        self._kept.update(found)\n",
        "",
        (f"{EVENTS}::test_a_parked_key_is_remembered_over_a_restart",),
    ),
    Mutant(
        "dead letters are not kept",
        "inbox/sink/settle/dead_lettering.py",
        "        self._dead_letters.park(letters, self._first_delay)\n",
        "",
        (f"{EVENTS}::test_without_order_later_events_of_a_parked_key_go_on",),
    ),
    Mutant(
        "nothing pauses a partition of which everything is parked",
        "inbox/store/sql/dead_letters.sql",
        "WHERE counted.parked > %(limit)s;",
        "WHERE false;",
        (f"{LETTER_LIMIT}::test_until_the_end_a_paused_partition_stops_with_4_and_the_others_are_settled",),
    ),
    Mutant(
        "what brought a partition above halt_above is lost",
        "inbox/sink/flight.py",
        "        self._guards.after_fence(self._outcome)\n",
        "        self._guards.after_fence(self._outcome)\n"
        "        if self._outcome.too_many_letters:\n            raise RuntimeError(str(self._outcome))\n",
        (f"{LETTER_LIMIT}::test_what_a_table_refused_is_kept_and_its_partition_pauses",),
    ),
    Mutant(
        "what brought a partition above halt_above is lost where a handler refused it",
        "inbox/sink/settle/settler.py",
        "                self._guards.after_fence(outcome)\n",
        "                self._guards.after_fence(outcome)\n"
        "                if outcome.too_many_letters:\n                    raise RuntimeError(str(outcome))\n",
        (f"{LETTER_LIMIT}::test_what_was_found_is_kept_and_the_other_partition_goes_on",),
    ),
    Mutant(
        "an event that ends the process gets one life more",
        "inbox/sink/guards/crash_poison.py",
        "if found.deaths >= self._attempts:",
        "if found.deaths > self._attempts:",
        (
            "tests/e2e/test_crash_poison.py::"
            "test_an_event_that_ends_the_process_is_parked_after_its_attempts_and_not_before",
        ),
    ),
    Mutant(
        "the first of several crash_poison is blamed for them all",
        "inbox/sink/guards/crash_poison.py",
        "if len(found.offsets) > 1:",
        "if False:",
        (f"{SUSPECTS}::test_the_first_event_of_a_batch_is_not_blamed_for_the_others",),
    ),
    Mutant(
        "crash_poison are noted together",
        "inbox/sink/guards/note_window.py",
        "if self._exact or offset in suspected:",
        "if self._exact:",
        (f"{SUSPECTS}::test_what_always_ends_the_process_is_parked_after_its_attempts",),
    ),
    Mutant(
        "an event without a key has none in the outbox either",
        "migrations/outbox/0002_key_of_keyless.py",
        "WHEN (NEW.aggregate_id IS NULL)",
        "WHEN (NEW.aggregate_id = 'none')",
        ("tests/migrations/test_outbox.py::test_an_event_without_a_key_gets_its_id_as_its_key",),
    ),
    Mutant(
        "an event of a user's table is marked before it is delivered",
        "inbox/relay/external_table_term.py",
        "        self._in_flight.add(rows)\n",
        "        self._in_flight.add(rows)\n        self._marks.record(self._epoch, [row.event_id for row in rows])\n",
        (f"{EXISTING}::test_what_was_sent_and_not_marked_is_sent_again_under_its_ids",),
    ),
    Mutant(
        "a relay of a user's table that lost its place marks all the same",
        EXISTING_OUTBOX,
        "AND epoch OPERATOR(pg_catalog.=) %(epoch)s::bigint"
        " AND holder OPERATOR(pg_catalog.=) %(holder)s::pg_catalog.text",
        "",
        (f"{LEASE}::test_a_relay_whose_place_was_taken_records_nothing_and_becomes_a_standby",),
    ),
    Mutant(
        "rows of a user's table go in the order of their ids",
        EXISTING_OUTBOX,
        "WHERE coalesce(before, 0) < %(bytes)s ORDER BY at, id",
        "WHERE coalesce(before, 0) < %(bytes)s ORDER BY id",
        (f"{EXISTING}::test_its_rows_are_sent_in_order_and_marked_in_place",),
    ),
    Mutant(
        "an event that waits again is pruned for having been sent",
        "inbox/store/outbox/retention.py",
        " AND {is_sent}",
        "",
        (f"{OUTBOX_RETENTION}::test_an_event_that_waits_again_meanwhile_stays",),
    ),
    Mutant(
        "what was not sent leaves the outbox with age",
        "inbox/store/outbox/retention.py",
        "marked=outbox.relay is RelayKind.INBOX",
        "marked=False",
        (f"{OUTBOX_RETENTION}::test_what_was_not_sent_stays_however_old",),
    ),
    Mutant(
        "what is pruned from the outbox is published, too",
        "inbox/store/outbox/debezium.py",
        "FOR TABLE {table} WITH (publish = 'insert')",
        "FOR TABLE {table}",
        ("tests/integration/cli/test_check_capture.py::test_what_the_printed_sql_makes_is_enough",),
    ),
    Mutant(
        "a replay does not raise the owner epoch",
        REPLAYS_SQL,
        "leader_epoch = NULL, owner_epoch = owner_epoch + 1,",
        "leader_epoch = NULL,",
        (f"{REPLAY}::test_a_sink_that_runs_goes_back_and_forward_by_itself",),
    ),
    Mutant(
        "the end of a replay does not raise the owner epoch",
        REPLAYS_SQL,
        "leader_epoch = ended.ledger_epoch, owner_epoch = owner_epoch + 1,",
        "leader_epoch = ended.ledger_epoch,",
        (f"{REPLAY}::test_a_sink_that_runs_goes_back_and_forward_by_itself",),
    ),
    Mutant(
        "the end of a replay leaves the ledger where the range ends",
        REPLAYS_SQL,
        "SET next_offset = ended.ledger_offset,",
        "SET next_offset = p.next_offset,",
        (f"{REPLAY}::test_only_what_lacks_its_claim_runs",),
    ),
    Mutant(
        "a forced claim does not bear the replay's id",
        PROCESSED_SQL,
        "SET replay_id = %(replay_id)s, partition_id",
        "SET replay_id = c.replay_id, partition_id",
        (f"{PROCESSED}::test_a_replay_claims_again_what_stands_there_and_each_once",),
    ),
    Mutant(
        "a forced claim is made again for a duplicate from elsewhere",
        PROCESSED_SQL,
        "(c.partition_id = o.partition_id AND c.kafka_offset = o.kafka_offset)",
        "true",
        (f"{REPLAY}::test_a_producers_duplicate_in_the_range_is_one_event",),
    ),
    Mutant(
        "a forced replay goes beyond its range",
        "inbox/sink/accumulator.py",
        "if edges := self._assignment.edges():",
        "if edges := self._assignment.edges() and {}:",
        (f"{REPLAY}::test_force_lets_each_event_of_the_range_take_effect_once_more",),
    ),
    Mutant(
        "a replay of one route lets the others run",
        "inbox/sink/batch.py",
        "if self.replay is not None and self.replay.route not in (None, route):",
        "if False:",
        (f"{REPLAY}::test_one_route_alone",),
    ),
    Mutant(
        "the relay marks SENT before it sends",
        OUTGOING,
        "            in_flight[token] = row\n",
        "            in_flight[token] = row\n            self._note(row, 0, 0)\n",
        (
            f"{RELAY}::test_a_message_that_the_broker_refuses_lets_none_of_its_key_pass",
            f"{TERMS}::test_nothing_is_marked_before_its_delivery_report",
        ),
    ),
    Mutant(
        "the relay reads past the highest position only",
        "inbox/relay/outbox_reader.py",
        "gap_tracker.front, self._gap_tracker.gaps, limit",
        "gap_tracker.front, [], limit",
        (f"{RELAY}::test_a_row_that_commits_late_is_sent_and_one_rolled_back_is_not",),
    ),
    Mutant(
        "the relay sends no event id",
        OUTGOING,
        '[("event_id", row.event_id), ("type", row.type)]',
        '[("type", row.type)]',
        (f"{RELAY}::test_a_record_is_what_its_row_says",),
    ),
    Mutant(
        "the relay takes a delivery report for a delivery",
        "inbox/kafka/producer.py",
        "        if error is None:\n            self._outage.over()\n",
        "        if True:\n            self._outage.over()\n",
        (f"{RELAY}::test_a_message_that_the_broker_refuses_lets_none_of_its_key_pass",),
    ),
    Mutant(
        "the first message to a partition does not go alone",
        OUTGOING,
        "        return not (self._alone and self.in_flight)\n",
        "        self._alone = False\n        return True\n",
        (f"{RELAY}::test_the_first_to_a_partition_goes_alone",),
    ),
    Mutant(
        "the relay goes on behind a message that was refused",
        "inbox/kafka/producer.py",
        "            raise self._stopped_by()\n",
        "            self._failure = self._fatal = self._purged = None\n",
        (f"{RELAY}::test_a_message_that_the_broker_refuses_lets_none_of_its_key_pass",),
    ),
    Mutant(
        "the relay marks a batch whose transaction is open",
        TERM,
        "        if in_flight.is_open:\n            self._sent_marker.prolong()\n            return\n",
        "",
        (f"{TERMS}::test_the_lease_is_prolonged_while_a_transaction_is_open",),
    ),
    Mutant(
        "the relay counts as sent what is on its way",
        TERM,
        "self._sent_marker.start(min(waits, min(map(_position, in_flight.in_flight.values()), default=beyond)))",
        "self._sent_marker.start(waits)",
        (f"{TERMS}::test_nothing_on_its_way_is_below_what_counts_as_sent",),
    ),
    Mutant(
        "the relay asks for marks while others are made",
        RECORDER,
        "        if self._row.is_recording:\n            return False\n",
        "",
        (f"{TERMS}::test_the_next_rows_are_read_and_sent_while_marks_are_made",),
    ),
    Mutant(
        "the relay sends again what is on its way",
        "inbox/relay/outbox_reader.py",
        "row.position not in known",
        "True",
        (f"{TERMS}::test_a_row_whose_mark_came_while_its_gap_was_read_is_not_sent_again",),
    ),
    Mutant(
        "what a relay drew while it read is a bound for what it read then",
        "inbox/relay/gap_tracker.py",
        " and gap.reading <= readings else gap",
        " else gap",
        ("tests/unit/relay/test_gap_tracker.py::test_a_gap_noticed_while_the_bound_was_drawn_is_not_bounded_by_it",),
    ),
    Mutant(
        "a relay that lost its lease records all the same",
        "inbox/store/sql/outbox_sent.sql",
        "    WHERE epoch = %(epoch)s AND holder = %(holder)s\n    RETURNING epoch\n",
        "    RETURNING epoch\n",
        (f"{LEASE}::test_a_relay_whose_place_was_taken_records_nothing_and_becomes_a_standby",),
    ),
    Mutant(
        "a gap is given up while its transaction runs",
        "inbox/relay/gap_tracker.py",
        "if gap.bound is None or gap.bound > xmin or",
        "if",
        (
            "tests/unit/relay/test_gap_tracker.py::test_a_gap_stays_until_every_transaction_that_might_fill_it_has_ended",
        ),
    ),
    Mutant(
        "an audit ignores from where a route owes",
        "inbox/operations/audit/chunks.py",
        "    if offset < around.owes_from:\n        return None\n",
        "",
        (f"{AUDIT}::test_a_route_owes_nothing_from_before_its_start",),
    ),
    Mutant(
        "an audit takes a claim of another offset for the event's own",
        "inbox/store/sql/audit.sql",
        "WHERE (c.partition_id = %(partition_id)s AND c.kafka_offset = e.kafka_offset) IS NOT TRUE",
        "WHERE (c.partition_id = %(partition_id)s) IS NOT TRUE",
        (f"{AUDIT}::test_two_claims_at_each_others_offsets_are_not_taken_for_their_own",),
    ),
    Mutant(
        "an audit overlooks claims that no event bears",
        "inbox/operations/audit/partition_auditor.py",
        "        if own != self._claimed(each, chunk):\n",
        "        if False:\n",
        (f"{AUDIT}::test_a_claim_that_no_event_bears_is_found",),
    ),
    Mutant(
        'start = "group" guesses where the group says nothing',
        "inbox/bootstrap/topics.py",
        "        if offset is None and start < end:\n",
        "        if False:\n",
        ("tests/unit/bootstrap/test_starts_of_group.py::test_what_the_group_does_not_say_is_not_guessed",),
    ),
    Mutant(
        "an adoption identifies texts otherwise than the sink",
        "inbox/operations/adopt.py",
        "namespace_of(request.source or _topic(route, request))",
        "namespace_of(request.source or route.name)",
        ("tests/integration/operations/test_adopt.py::test_texts_and_numbers_are_identified_as_the_sink_does_it",),
    ),
    Mutant(
        "a result that has not run is a success",
        "inbox/handling/shapes.py",
        "        if result is not None:\n            _refuse_unfinished(result)\n",
        "",
        (f"{HANDLERS}::test_an_event_whose_handler_returns_what_has_not_run_is_tried_and_parked",),
    ),
    Mutant(
        "what a handler raises may end the process",
        "inbox/sink/settle/effects.py",
        "    return isinstance(error, TryAgainError | HaltError)\n",
        "    return isinstance(error, TryAgainError | HaltError) or not isinstance(error, Exception)\n",
        (f"{HANDLERS}::test_whatever_a_handler_raises_is_its_events_and_the_sink_stays",),
    ),
    Mutant(
        "a gap is accepted without a reason",
        "inbox/kafka/log/gaps.py",
        "            raise without_reason(at, from_offset, until_offset)\n",
        "            return\n",
        (
            "tests/unit/kafka/log/test_gaps.py::test_a_gap_that_holds_nothing_has_no_reason",
            f"{UNREADABLE}::test_a_segment_that_the_broker_lost_halts",
        ),
    ),
    Mutant(
        "what cannot be read is passed over",
        "inbox/kafka/consumer.py",
        "            taken.unreadable.append(unreadable(error, where, message.offset()))\n",
        "",
        (f"{UNREADABLE}::test_what_cannot_be_read_halts_though_a_gap_would_have_a_reason",),
    ),
    Mutant(
        "CRCs are not checked",
        "inbox/kafka/options.py",
        '"check.crcs": ("true",',
        '"check.crcs": ("false",',
        (f"{UNREADABLE}::test_a_flipped_bit_is_not_applied",),
    ),
    Mutant(
        "an event that misses a row is parked at once",
        "inbox/sink/guards/row_waits.py",
        "        if wait is None or wait.offset != offset or not self._is_over(wait):\n            return True\n",
        "        if wait is None:\n            return False\n",
        ("tests/unit/sink/guards/test_row_waits.py::test_an_event_waits_for_the_time_and_not_longer",),
    ),
    Mutant(
        "the isolation level is the role's",
        "inbox/store/postgres/session_settings.py",
        '_MODES = "BEGIN ISOLATION LEVEL READ COMMITTED NOT DEFERRABLE"',
        '_MODES = "BEGIN"',
        (f"{POOLED}::test_a_transaction_states_its_modes_and_settings_whatever_the_pool_holds",),
    ),
    Mutant(
        "the isolation level of a statement alone is the role's",
        "inbox/store/postgres/session_settings.py",
        '    "default_transaction_isolation": "read committed",\n',
        "",
        (f"{PINNED}::test_neither_the_role_nor_the_database_says_what_a_session_means",),
    ),
    Mutant(
        "a session setting is left behind",
        "inbox/store/postgres/pinned_connection.py",
        "pooled = pid != self.info.backend_pid",
        "pooled = False",
        (f"{POOLED}::test_a_worker_and_every_command_leave_nothing_in_the_pool",),
    ),
    Mutant(
        "what a handler set is left behind",
        "inbox/store/postgres/session_settings.py",
        '"RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL"',
        '"RESET SESSION AUTHORIZATION; RESET ROLE"',
        (f"{POOLED_HANDLERS}::test_the_next_batch_finds_nothing_of_what_a_handler_did_to_the_session",),
    ),
    Mutant(
        "the note of a worker whose session cannot be seen is a death",
        "inbox/store/sql/handling.sql",
        "            has_table_privilege(session.usesysid, '{schema}.handling'::regclass, 'UPDATE')\n        )",
        "            false\n        )",
        (
            "tests/integration/store/postgres/test_logins.py::test_the_note_of_a_living_worker_of_another_login_is_no_death",
        ),
    ),
    Mutant(
        "the project's statements look names up on the user's path",
        "inbox/store/postgres/session_settings.py",
        'OWN_PATH = "pg_catalog, pg_temp"',
        "OWN_PATH = '\"$user\", public'",
        ("tests/integration/sink/test_search_path.py::test_no_statement_of_the_project_runs_what_somebody_else_made",),
    ),
    Mutant(
        "the sink's login moves the ledger back without a record",
        GUARDS_SQL,
        "    IF NEW.next_offset < OLD.next_offset AND NOT EXISTS (\n",
        "    IF false AND NOT EXISTS (\n",
        (f"{SINK_LOGIN}::test_the_sinks_login_cannot",),
    ),
    Mutant(
        "the sink's login removes a dead letter by saying that it is old",
        GUARDS_SQL,
        "        NEW.resolved_at := now();\n",
        "        NEW.resolved_at := NEW.resolved_at;\n",
        (f"{SINK_LOGIN}::test_it_removes_no_dead_letter_that_the_owner_keeps_whatever_it_says_of_its_age",),
    ),
    Mutant(
        "the sink's login withdraws claims of others",
        GUARDS_SQL,
        "        c.processed_at = now()\n        OR EXISTS (",
        "        true\n        OR EXISTS (",
        (f"{SINK_LOGIN}::test_it_withdraws_no_claim_of_another_transaction",),
    ),
    Mutant(
        "a forced replay leaves the claim of an event that failed",
        GUARDS_SQL,
        "            WHERE r.replay_id = c.replay_id AND r.partition_id = c.partition_id AND r.state = 'running'\n",
        "            WHERE false AND r.state = 'running'\n",
        (f"{REPLAY}::test_a_forced_event_that_fails_is_parked_under_the_replay_and_retried_once",),
    ),
    Mutant(
        "keys that are left to the database hold nobody",
        "inbox/sink/settle/parked_keys.py",
        "        if self._left_to_database:\n",
        "        if False:\n",
        (f"{EVENTS}::test_more_parked_keys_than_a_worker_keeps_hold_their_events_all_the_same",),
    ),
    Mutant(
        "keys stay known after they were resolved",
        "inbox/sink/settle/parked_keys.py",
        "        self._forget(partition_ids)\n        self._left_to_database.difference_update(partition_ids)\n",
        "",
        (f"{EVENTS}::test_a_parked_key_waits_no_more_once_it_is_resolved",),
    ),
    Mutant(
        "a child has its parent's sockets",
        "inbox/store/postgres/forks.py",
        "            os.dup2(nowhere.fileno(), connection.fileno(), inheritable=False)\n",
        "            pass\n",
        (f"{MISTAKES}::test_a_child_that_comes_out_of_its_handler_ends_there_and_says_so",),
    ),
    Mutant(
        "a child comes out of its handler",
        "inbox/handling/shapes.py",
        "            if _Process.forks != forks:\n",
        "            if False:\n",
        (f"{MISTAKES}::test_a_child_that_comes_out_of_its_handler_ends_there_and_says_so",),
    ),
    Mutant(
        "a handler may close the connection",
        "inbox/store/postgres/connection.py",
        "        if self.ends is not Ends.ALLOWED:\n            # SQLAlchemy's",
        "        if False:\n            # SQLAlchemy's",
        (f"{MISTAKES}::test_the_mistake_parks_its_event_alone_and_is_named",),
    ),
    Mutant(
        "a temporary table may hide another one",
        "inbox/store/postgres/handler_session.py",
        "        if self._executed(_OF_TEMPORARY):\n",
        "        if False:\n",
        (f"{MISTAKES}::test_the_mistake_parks_its_event_alone_and_is_named",),
    ),
    Mutant(
        "a table that a crash empties is written to",
        "inbox/store/tables/columns.py",
        "[*problems, *losable(connection, table)]",
        "[*problems]",
        (f"{DURABILITY}::test_a_table_that_may_lose_what_was_committed_is_refused_at_the_start_and_by_check",),
    ),
    Mutant(
        "an error keeps the frames that raised it",
        "inbox/errors.py",
        "        link.__traceback__ = None\n",
        "",
        (f"{RELEASED}::test_events_that_a_handler_refuses_hold_no_batch",),
    ),
    Mutant(
        "a dead letter holds its batch",
        "inbox/sink/settle/settler.py",
        "                forget_frames(letter.error)\n",
        "                pass\n",
        (f"{RELEASED}::test_events_that_a_handler_refuses_hold_no_batch",),
    ),
    Mutant(
        "each try of an outage holds its batch",
        "inbox/sink/worker/failed_jobs.py",
        "    forget_frames(error)\n",
        "",
        (f"{RELEASED}::test_an_outage_holds_no_batch",),
    ),
    Mutant(
        "the relay sends any text for a trace context",
        OUTGOING,
        "(traceparent := sent_traceparent(row.traceparent)) is not None",
        "(traceparent := row.traceparent) is not None",
        (f"{RELAY}::test_a_traceparent_of_another_form_is_not_sent",),
    ),
    Mutant(
        "a switch of generations before the claims goes unnoticed",
        "inbox/store/inbox/claims.py",
        "        if self.generation != before:\n",
        "        if False:\n",
        (
            "tests/integration/store/inbox/test_current_generation.py"
            "::test_a_transaction_runs_again_in_the_generation_that_took_over",
        ),
    ),
    Mutant(
        "a replay that reached its end goes on",
        "inbox/sink/guards/replay_progress.py",
        "            if part.after >= replay.until_offset:\n",
        "            if False:\n",
        (f"{REPLAY}::test_a_sink_that_runs_goes_back_and_forward_by_itself",),
    ),
    Mutant(
        "conflicting payloads are not counted in the ledger",
        "inbox/sink/guards/counts/other_payloads.py",
        "                self._ledger.count_other_payloads(partition_id, count)\n",
        "                pass\n",
        (f"{EVENTS}::test_one_id_with_another_payload_is_parked",),
    ),
    Mutant(
        "a schema is kept under the id of another one",
        "inbox/reading/schemas.py",
        "found = self._compiled.get(schema_id)",
        "found = next(iter(self._compiled.values()), None)",
        (f"{AVRO}::test_each_record_is_read_with_the_schema_that_wrote_it",),
    ),
    Mutant(
        "the scale of an Avro decimal is dropped",
        "inbox/reading/formats/avro/reader.py",
        '.scaleb(-writer["scale"], _EXACT)',
        "",
        (f"{AVRO_PROGRAM}::test_the_program_reads_every_type_as_the_general_reader_does",),
    ),
    Mutant(
        "the scale of an Avro decimal is dropped by the program of its schema",
        "inbox/reading/formats/avro/program.py",
        ".scaleb(-{int(schema['scale'])}, exact)",
        "",
        (f"{AVRO}::test_a_type_becomes_its_exact_value",),
    ),
    Mutant(
        "the program of a schema ignores the index of a union",
        "inbox/reading/formats/avro/program.py",
        "} b == {2 * index}:",
        "} b >= {2 * index}:",
        (f"{AVRO_PROGRAM}::test_the_program_reads_every_type_as_the_general_reader_does",),
    ),
    Mutant(
        "the program of a schema does not look where a value ends",
        "inbox/reading/formats/avro/program.py",
        '*program.lines, "if p != len(d): raise E", f"return',
        '*program.lines, f"return',
        (f"{AVRO_PROGRAM}::test_of_damaged_values_the_program_reads_none_in_another_way",),
    ),
    Mutant(
        "the schema that was used last is used for every id",
        "inbox/reading/schemas.py",
        "if schema_id == self._newest_id and self._newest is not None:",
        "if self._newest is not None:",
        (f"{AVRO}::test_each_record_is_read_with_the_schema_that_wrote_it",),
    ),
    Mutant(
        "the relay sends what its schema does not have without it",
        "inbox/relay/formats/avro/writer.py",
        "if known < len(value):",
        "if False:",
        ("tests/unit/relay/formats/test_avro.py::test_a_payload_that_does_not_fit_is_refused_and_not_shown",),
    ),
    Mutant(
        "a union is read as its first type",
        "inbox/reading/formats/avro/schemas.py",
        "return [self._type(each, namespace, depth + 1) for each in schema]",
        "return [self._type(schema[0], namespace, depth + 1)] * len(schema)",
        (f"{AVRO}::test_a_union_takes_the_type_that_its_index_names",),
    ),
    Mutant(
        "any byte counts as the beginning of a schema id",
        "inbox/reading/formats/framing.py",
        "if magic == _ID and len(data) >= 5:",
        "if magic != _GUID and len(data) >= 5:",
        (f"{FRAMING}::test_bytes_without_a_frame_are_refused",),
    ),
    Mutant(
        "an event pays for a registry that is away",
        "inbox/kafka/registry/schemas.py",
        "        except TryAgainError as error:\n            self._failures += 1",
        "        except TryAgainError as error:\n            raise EventError from error",
        (f"{REGISTRY}::test_an_outage_is_an_outage_however_long_it_lasts",),
    ),
    Mutant(
        "a limit that a handler sets holds the sink",
        "inbox/store/postgres/session_settings.py",
        '_LIMITS = ("statement_timeout", "lock_timeout")',
        "_LIMITS: tuple[str, ...] = ()",
        (
            "tests/integration/sink/settle/test_slow_statements.py::test_a_limit_that_a_handler_sets_is_none_of_the_sinks",
        ),
    ),
    Mutant(
        "a value of an event reaches a line of the log",
        "inbox/sink/settle/dead_lettering.py",
        "attempts=letter.attempts, error=reason)",
        'attempts=letter.attempts, error=f"{reason} {letter.record.value()!r}")',
        (MARKED,),
    ),
    Mutant(
        "a value of an event becomes a label of a metric",
        "inbox/sink/worker/retry_state.py",
        "        RETRIES.labels(error.reason).inc()\n",
        "        RETRIES.labels(repr(error.__cause__)).inc()\n",
        (MARKED,),
    ),
    Mutant(
        "a value of an event reaches the column of errors",
        "inbox/store/inbox/dead_letters.py",
        '"error": _bounded(shown(letter.error), storable)',
        '"error": _bounded(f"{shown(letter.error)} {kept(letter.error)}", storable)',
        (MARKED,),
    ),
    Mutant(
        "milliseconds and microseconds are taken for each other",
        "inbox/store/tables/casts/times.py",
        '    Reading.EPOCH_MS: "1000",\n    Reading.EPOCH_US: "1",\n',
        '    Reading.EPOCH_MS: "1",\n    Reading.EPOCH_US: "1000",\n',
        (f"{READINGS}::test_each_unit_is_exact_to_the_microsecond",),
    ),
    Mutant(
        "a default is a constant",
        "inbox/store/tables/expressions.py",
        'sql.SQL("coalesce({}, {})").format(value, constant(column, source.default))',
        'sql.SQL("coalesce({1}, {0})").format(value, constant(column, source.default))',
        (f"{READINGS}::test_constants_and_defaults_are_values_of_their_columns",),
    ),
    Mutant(
        "a number without a unit is a time",
        "inbox/store/tables/expressions.py",
        'other = when(is_of(node, "number"), no_unit, times.checked(kind, text))',
        "other = times.checked(kind, text)",
        (f"{READINGS}::test_a_number_without_a_unit_is_no_time",),
    ),
    Mutant(
        "a JSON array is a range",
        "inbox/store/tables/expressions.py",
        "return when(others, failing(CastRefusal.WRONG_KIND, kind, text), value)",
        "return value",
        ("tests/integration/store/tables/test_matrix.py::test_the_page_shows_what_every_cell_does",),
    ),
    Mutant(
        "a plain row may hold bytes that are not UTF-8 beside its members",
        "inbox/store/tables/plain/rows.py",
        "            if not joined.isascii():\n                joined.decode()\n",
        "",
        (f"{PLAIN}::test_what_the_client_might_read_otherwise_is_not_plain",),
    ),
    Mutant(
        "a plain row may hold a number beyond the bounds beside its members",
        "inbox/store/tables/plain/rows.py",
        " or any_may_exceed(values):\n",
        ":\n",
        (f"{PLAIN}::test_what_the_client_might_read_otherwise_is_not_plain",),
    ),
    Mutant(
        "a plain row may hold NUL",
        "inbox/store/tables/plain/rows.py",
        'if (b"\\\\" in joined and b"\\\\u0000" in joined) or any',
        "if any",
        (f"{PLAIN}::test_what_the_client_might_read_otherwise_is_not_plain",),
    ),
    Mutant(
        "a plain row may hold a negative zero",
        "inbox/store/tables/plain/column.py",
        '    if any(token.startswith(b"-0") and float(token) == 0 for token in tokens):\n',
        "    if False:\n",
        (f"{PLAIN}::test_what_the_client_might_read_otherwise_is_not_plain",),
    ),
    Mutant(
        "two lines of a text are two times of plain rows",
        "inbox/store/tables/decoded/packing.py",
        "    if len(shapes) != len(found) or not all(",
        "    if not all(",
        (f"{PLAIN}::test_what_the_client_might_read_otherwise_is_not_plain",),
    ),
    Mutant(
        "an escape in a number's text stays as it is in a plain row",
        "inbox/store/tables/plain/column.py",
        '    if b"\\\\" in b" ".join(tokens):\n',
        "    if False:\n",
        (f"{PLAIN}::test_what_the_client_might_read_otherwise_is_not_plain",),
    ),
    Mutant(
        "one row that is not plain is left out",
        "inbox/store/tables/plain/rows.py",
        "        if len(values) < len(documents) or max(",
        "        if max(",
        (f"{PLAIN}::test_a_tombstone_is_no_plain_row",),
    ),
]
