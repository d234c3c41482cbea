# Values for the chart of kafka-inbox.
image:
  repository: registry.example.com/${name}
  tag: 0.1.0
secrets:
  existingSecret: ${name}
config:
  sink:
    name: ${name}
  kafka:
    bootstrap.servers: kafka:9092
  routes:
    - name: ${name}
      topic: orders
      event_id: header:event_id
      handler: ${module}
