"""The configuration of the inventory's sink, which every demo kills."""

INVENTORY_SINK = """\
[sink]
name = {group}
batch_events = 20          # small, so that a crash finds a transaction under way

[database]
url = {url}

[kafka]
"bootstrap.servers" = {bootstrap_servers}
"group.instance.id" = "demo"   # partitions come back at once after a crash, not after the session timeout

[[routes]]
name = "reserve-stock"
topic = {topic}
types = ["OrderCreated"]
event_id = "header:event_id"
event_type = "header:type"
handler = "reserve_stock"
"""
