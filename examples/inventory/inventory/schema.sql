-- Neither table stops a second application: what comes twice shows.
CREATE TABLE stock (
    sku text PRIMARY KEY,
    free bigint NOT NULL
);
CREATE TABLE reservations (
    event_id uuid NOT NULL,
    sku text NOT NULL,
    quantity integer NOT NULL
);
INSERT INTO stock (sku, free)
SELECT 'sku-' || number, 1000000 FROM generate_series(0, 19) AS number;
