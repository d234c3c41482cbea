-- The filters of the generations: by which ids no claim is in them.

-- name: blocks
-- How many blocks the table has; no row where it has no claim.
SELECT pg_relation_size(tableoid) / current_setting('block_size')::bigint FROM ONLY {schema}.{generation} LIMIT 1;

-- name: ids
-- Those in some of its blocks, one behind the other. Only the blocks asked for are read (a TID range scan).
SELECT string_agg(uuid_send(event_id), '') FROM ONLY {schema}.{generation}
WHERE ctid >= %(first)s::tid AND ctid < %(end)s::tid;

-- name: forget_filter
DELETE FROM {schema}.generation_filters WHERE generation = %(generation)s;

-- name: add_block
INSERT INTO {schema}.generation_filters (generation, block, bits) VALUES (%(generation)s, %(block)s, %(bits)s);

-- name: note_filter
-- Those before it that share the filter are in it as large as it is now.
UPDATE {schema}.generations SET filter_bits = %(filter_bits)s
WHERE generation BETWEEN %(first)s AND %(generation)s;

-- name: filter
SELECT block, bits FROM {schema}.generation_filters WHERE generation = %(generation)s;
