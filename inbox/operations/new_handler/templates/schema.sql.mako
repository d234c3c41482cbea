CREATE TABLE ${module} (
    event_id uuid PRIMARY KEY,
    order_id text NOT NULL,
    amount numeric(12, 2) NOT NULL
);
