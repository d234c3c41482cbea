-- The table that the sink writes; the inbox's own tables are made by `inbox migrate`.
CREATE TABLE public.orders (
    order_id bigint PRIMARY KEY,
    customer text NOT NULL,
    amount numeric(12, 2) NOT NULL
);
