"""The loop of one worker: it polls, prepares and decides, while the writer's thread works on the database.

`loop` has the order of a turn. Beside it is one module for each part of a turn: `polling` takes
records from Kafka, `next_job` chooses what the database does next, `answers` and `failed_jobs` follow
what it answered, and `rebalances` follows what Kafka hands out and takes away.
"""
