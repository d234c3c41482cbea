# ${name}

A handler for kafka-inbox: it takes events of a topic into PostgreSQL, each exactly once.

- `${module}/handlers.py`: the handler, and the type of its events
- `${module}/schema.sql`: the table that it writes
- `tests/`: what the sink may do to it, tried out
- `inbox.toml`: a route that names it; `values.yaml`: the same for the Helm chart
- `Dockerfile`: the image of the sink with this package

${'##'} Try it

```sh
pip install -e '.[test]'
pytest                              # starts a Kafka and a PostgreSQL, unless the environment names them
inbox dev up                        # in another terminal; write its two addresses into inbox.toml
psql "$URL" -f ${module}/schema.sql
inbox migrate && inbox check && inbox run
```

${'##'} Deploy it

```sh
docker build -t registry.example.com/${name}:0.1.0 .
helm install ${name} helm/inbox -f values.yaml
```
