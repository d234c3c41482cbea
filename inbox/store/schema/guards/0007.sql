-- What a login with the sink's rights cannot do by hand. `{schema}` is the schema's name, quoted.

CREATE FUNCTION {schema}.guard_ledger() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS
$guard$
-- At COMMIT, of rows in which something fell or the topic changed: a replay or a resume of this transaction says so.
BEGIN
    IF pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'USAGE') THEN
        RETURN NULL;
    END IF;
    IF NEW.reached_offset < OLD.reached_offset OR NEW.owner_epoch < OLD.owner_epoch THEN
        RAISE EXCEPTION 'owner_epoch and reached_offset of a partition never fall'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NEW.next_offset < OLD.next_offset AND NOT EXISTS (
        SELECT FROM {schema}.replays AS p JOIN {schema}.replay_ranges AS r USING (replay_id)
        WHERE p.created_at = now() AND r.partition_id = OLD.partition_id
            AND r.from_offset = NEW.next_offset AND r.ledger_offset = OLD.next_offset
    ) AND NOT EXISTS (
        SELECT FROM {schema}.resumptions AS r
        WHERE r.created_at = now() AND r.partition_id = OLD.partition_id
            AND r.from_offset = OLD.next_offset AND r.to_offset = NEW.next_offset
    ) THEN
        RAISE EXCEPTION 'next_offset falls only by a replay or a resume, which are recorded in the same transaction'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NEW.topic <> OLD.topic AND NOT EXISTS (
        SELECT FROM {schema}.resumptions AS r JOIN {schema}.partitions AS s USING (partition_id)
        WHERE r.created_at = now() AND s.partition = OLD.partition AND split_part(s.topic, '#', 1) = OLD.topic
            AND NEW.topic = OLD.topic || '#' || OLD.partition_id
    ) THEN
        RAISE EXCEPTION 'a partition of the ledger is set aside only by a resume, which is recorded in the same transaction'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END
$guard$;

CREATE CONSTRAINT TRIGGER partitions_guard
AFTER UPDATE OF next_offset, reached_offset, owner_epoch, topic
ON {schema}.partitions DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
WHEN (NEW.next_offset < OLD.next_offset OR NEW.reached_offset < OLD.reached_offset
    OR NEW.owner_epoch < OLD.owner_epoch OR NEW.topic <> OLD.topic)
EXECUTE FUNCTION {schema}.guard_ledger();

CREATE FUNCTION {schema}.guard_letter() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS
$guard$
-- Retention counts from here, so that the sink does not choose the time.
BEGIN
    IF NOT pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'USAGE') THEN
        NEW.resolved_at := now();
    END IF;
    RETURN NEW;
END
$guard$;

CREATE TRIGGER dead_letters_guard BEFORE UPDATE ON {schema}.dead_letters FOR EACH ROW
WHEN (NEW.resolved_at IS DISTINCT FROM OLD.resolved_at AND NEW.resolved_at IS NOT NULL)
EXECUTE FUNCTION {schema}.guard_letter();

CREATE FUNCTION {schema}.forget_progress(older_than interval, at_most integer) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$guard$
-- One portion, the oldest first, so that what is left tiles. The sink writes `until_time`, and cannot write `from_time`.
WITH old AS (
    SELECT partition_id, from_offset FROM {schema}.progress
    WHERE until_time < now() - older_than
        AND from_time < now() - greatest(older_than, (SELECT progress FROM {schema}.retention))
    ORDER BY until_time LIMIT at_most
), gone AS (
    DELETE FROM {schema}.progress AS p USING old
    WHERE p.partition_id = old.partition_id AND p.from_offset = old.from_offset RETURNING 1
)
SELECT count(*)::integer FROM gone
$guard$;

CREATE FUNCTION {schema}.forget_letters(older_than interval, at_most integer) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$guard$
-- One portion of those that are resolved.
WITH gone AS (
    DELETE FROM {schema}.dead_letters WHERE dead_letter_id IN (
        SELECT dead_letter_id FROM {schema}.dead_letters
        WHERE state IN ('retried', 'discarded')
            AND resolved_at < now() - greatest(older_than, (SELECT dead_letters FROM {schema}.retention))
        LIMIT at_most
    ) RETURNING 1
)
SELECT count(*)::integer FROM gone
$guard$;

CREATE FUNCTION {schema}.switch_generation(ended integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$guard$
-- Waits for every batch with claims in the generation, at most for the caller's lock_timeout. Whatever came again until
-- now, from wherever in the log, lies before the offset that its partition has reached. Not before a sink has started
-- here: it begins with generation 0.
BEGIN
    IF (SELECT count(*) FROM {schema}.generations) >= 16 THEN
        RAISE EXCEPTION 'no table of claims is free for another generation' USING ERRCODE = 'insufficient_privilege';
    END IF;
    EXECUTE format('LOCK TABLE ONLY %s IN SHARE ROW EXCLUSIVE MODE',
        ('{schema}.processed' || CASE ended % 16 WHEN 0 THEN '' ELSE '_' || ended % 16 END)::regclass);
    WITH moved AS (
        UPDATE {schema}.sink SET generation = ended + 1 WHERE generation = ended RETURNING generation
    ), ends AS (
        SELECT array_agg(partition_id ORDER BY partition_id) AS partition_ids,
            array_agg(reached_offset ORDER BY partition_id) AS until_offsets
        FROM {schema}.partitions
    ), closed AS (
        UPDATE {schema}.generations AS g
        SET closed_at = clock_timestamp(), partition_ids = ends.partition_ids, until_offsets = ends.until_offsets
        FROM ends, moved WHERE g.generation = moved.generation - 1
    )
    INSERT INTO {schema}.generations (generation, opened_at) SELECT generation, clock_timestamp() FROM moved;
END
$guard$;

CREATE FUNCTION {schema}.raise_horizon(expired integer) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$guard$
-- From now on nobody sends the ledger back below. Not while something below is being settled again, whose claims are
-- wanted.
WITH ends AS (
    SELECT e.partition_id, e.until_offset, g.closed_at
    FROM {schema}.generations AS g, unnest(g.partition_ids, g.until_offsets) AS e (partition_id, until_offset)
    WHERE g.generation = expired
        AND g.closed_at <= clock_timestamp() - coalesce((SELECT claims FROM {schema}.retention), interval '0')
), locked AS (
    SELECT p.partition_id, ends.until_offset, ends.closed_at,
        p.next_offset < ends.until_offset AND strpos(p.topic, '#') = 0 AS settled_again
    FROM {schema}.partitions AS p JOIN ends USING (partition_id)
    ORDER BY p.partition_id FOR NO KEY UPDATE OF p
), held AS (
    SELECT coalesce(bool_or(settled_again), false) AS up FROM locked
), raised AS (
    UPDATE {schema}.partitions AS p
    SET horizon_offset = greatest(p.horizon_offset, locked.until_offset),
        horizon_time = greatest(p.horizon_time, locked.closed_at)
    FROM locked, held WHERE p.partition_id = locked.partition_id AND NOT held.up
)
SELECT NOT up FROM held
$guard$;

CREATE FUNCTION {schema}.drop_generation(expired integer, filters_from integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$guard$
-- Waits for who reads the claims, at most for the caller's lock_timeout. Filters before `filters_from` are of
-- generations that went.
DECLARE
    claims regclass := ('{schema}.processed' || CASE expired % 16 WHEN 0 THEN '' ELSE '_' || expired % 16 END)::regclass;
BEGIN
    EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', claims);
    IF NOT EXISTS (
        SELECT FROM {schema}.generations AS g
        WHERE g.generation = expired AND g.generation = (SELECT min(generation) FROM {schema}.generations)
            AND g.closed_at <= clock_timestamp() - coalesce((SELECT r.claims FROM {schema}.retention AS r), interval '0')
            AND NOT EXISTS (
                SELECT FROM unnest(g.partition_ids, g.until_offsets) AS e (partition_id, until_offset)
                JOIN {schema}.partitions AS p USING (partition_id)
                WHERE (p.horizon_offset >= e.until_offset) IS NOT TRUE
            )
    ) THEN
        RAISE EXCEPTION 'the claims of generation % are kept: it is not the oldest, not past the retention, or above '
            'the horizon', expired USING ERRCODE = 'insufficient_privilege';
    END IF;
    EXECUTE format('TRUNCATE ONLY %s', claims);
    DELETE FROM {schema}.generation_filters WHERE generation < filters_from AND filters_from <= expired + 1;
    DELETE FROM {schema}.generations WHERE generation = expired;
END
$guard$;

CREATE FUNCTION {schema}.leave_older(ids uuid[], of_route smallint) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$guard$
-- Of an id that has the same claim in the youngest generation, the one in an older generation goes.
WITH youngest AS (
    SELECT ('{schema}.processed' || CASE generation % 16 WHEN 0 THEN '' ELSE '_' || generation % 16 END)::regclass::oid
        AS claims
    FROM {schema}.sink
), gone AS (
    DELETE FROM {schema}.processed AS c USING unnest(ids) AS again (event_id), youngest
    WHERE c.event_id = again.event_id AND c.route_id = of_route AND c.tableoid <> youngest.claims
        AND EXISTS (
            SELECT FROM {schema}.processed AS y
            WHERE y.event_id = again.event_id AND y.route_id = of_route AND y.tableoid = youngest.claims
                AND y.payload_hash = c.payload_hash AND y.processed_at = c.processed_at OFFSET 0
        )
    RETURNING 1
)
SELECT count(*)::integer FROM gone
$guard$;

CREATE FUNCTION {schema}.withdraw_claims(ids uuid[], of_route smallint) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$guard$
-- Claims of the caller's own transaction: `processed_at` is when it began, or a forced replay has just marked a claim
-- that it has not settled yet. (`xmin` would not tell: a savepoint's rows have another id than the transaction.)
WITH gone AS (
    DELETE FROM {schema}.processed AS c
    WHERE c.route_id = of_route AND c.event_id = ANY (ids) AND (
        c.processed_at = now()
        OR EXISTS (
            SELECT FROM {schema}.replay_ranges AS r
            WHERE r.replay_id = c.replay_id AND r.partition_id = c.partition_id AND r.state = 'running'
                AND c.kafka_offset >= r.next_offset AND c.kafka_offset < r.until_offset
        )
    )
    RETURNING 1
)
SELECT count(*)::integer FROM gone
$guard$;

CREATE FUNCTION {schema}.forget_claims(ids uuid[], set_aside integer) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$guard$
-- Of a log that a resume left behind, which is recorded in the same transaction.
WITH gone AS (
    DELETE FROM {schema}.processed AS c USING unnest(ids) AS lost (event_id)
    WHERE c.event_id = lost.event_id AND c.partition_id = set_aside AND EXISTS (
        SELECT FROM {schema}.resumptions AS r
        JOIN {schema}.partitions AS s ON s.partition_id = r.partition_id
        JOIN {schema}.partitions AS b ON b.partition_id = set_aside
        WHERE r.created_at = now() AND s.partition = b.partition AND b.topic = s.topic || '#' || b.partition_id
    )
    RETURNING 1
)
SELECT count(*)::integer FROM gone
$guard$;
