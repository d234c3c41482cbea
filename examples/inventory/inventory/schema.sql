CREATE TABLE stock (
    sku text PRIMARY KEY,
    free integer NOT NULL
);

-- event_id is not unique here: what a sink applies twice has to show.
CREATE TABLE reservations (
    reservation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL,
    order_id text NOT NULL,
    sku text NOT NULL REFERENCES stock,
    quantity integer NOT NULL
);
