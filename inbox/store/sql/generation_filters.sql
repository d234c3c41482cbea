-- The filters of the generations, which show that an id has no claim there.

-- name: blocks
-- The number of blocks of the table; no row where it has no claim.
SELECT pg_relation_size(tableoid) / current_setting('block_size')::bigint FROM ONLY {schema}.{generation} LIMIT 1;

-- name: ids
-- The ids in some of the table's blocks, joined together. Reads only these blocks (a TID range scan).
SELECT string_agg(uuid_send(event_id), '') FROM ONLY {schema}.{generation}
WHERE ctid >= %(first)s::tid AND ctid < %(end)s::tid;

-- name: forget_filter
DELETE FROM {schema}.generation_filters WHERE generation = %(generation)s;

-- name: add_block
INSERT INTO {schema}.generation_filters (generation, block, bits) VALUES (%(generation)s, %(block)s, %(bits)s);

-- name: note_filter
-- Earlier generations that share the filter are in it at its present size.
UPDATE {schema}.generations SET filter_bits = %(filter_bits)s
WHERE generation BETWEEN %(first)s AND %(generation)s;

-- name: filter
SELECT block, bits FROM {schema}.generation_filters WHERE generation = %(generation)s;
