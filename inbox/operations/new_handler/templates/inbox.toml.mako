#:schema ./inbox.schema.json
# The first line names a schema to an editor; after an upgrade: inbox schema > inbox.schema.json

[sink]
name = "${name}"

[database]
url = "postgresql://postgres@127.0.0.1:5432/postgres"     # the password: INBOX_DATABASE__URL

[kafka]
"bootstrap.servers" = "127.0.0.1:9092"

[[routes]]
name = "${name}"
topic = "orders"
event_id = "header:event_id"
handler = "${module}"
