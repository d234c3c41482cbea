-- Payloads that leave before their dead letters do. `{schema}` is the schema's name, quoted.

CREATE FUNCTION {schema}.redact_letters(older_than interval, at_most integer) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$guard$
-- One portion of those that are resolved. The sink's login may redact no other.
WITH gone AS (
    UPDATE {schema}.dead_letters
    SET key = NULL, value = NULL, headers = '[]', error_detail = NULL, original_value = NULL, original_headers = NULL,
        redacted_at = now()
    WHERE dead_letter_id IN (
        SELECT dead_letter_id FROM {schema}.dead_letters
        WHERE state IN ('retried', 'discarded') AND redacted_at IS NULL AND resolved_at < now() - older_than
        LIMIT at_most
    ) RETURNING 1
)
SELECT count(*)::integer FROM gone
$guard$;
