{{/* Combinations that cannot work, each with what to do instead. Everything that has one type or one range is the schema's. */}}
{{- define "inbox.refusals" -}}
{{- $config := .Values.config }}
{{- $kafka := default dict $config.kafka }}
{{- $secret := include "inbox.secretName" . }}
{{- if not (include "inbox.imageRepository" .) }}
{{- fail "image.repository is not set; build your image (docs/how-to/build-your-image.md) and name it" }}
{{- end }}
{{- if not (default dict $config.sink).name }}
{{- fail "config.sink.name is not set; name the sink: it is its identity, and its consumer group" }}
{{- end }}
{{- if not (or (index $kafka "bootstrap.servers") (index $kafka "metadata.broker.list")) }}
{{- fail "config.kafka has no \"bootstrap.servers\"; set it to the brokers, as kafka:9092" }}
{{- end }}
{{- if not $config.routes }}
{{- fail "config.routes is empty; add at least one route" }}
{{- end }}
{{- if and .Values.secrets.existingSecret .Values.secrets.externalSecret.enabled }}
{{- fail "secrets.existingSecret and secrets.externalSecret.enabled are both set; keep one" }}
{{- end }}
{{- if not (or $secret (default dict $config.database).url) }}
{{- fail "there is no database: name a Secret with the key database__url in secrets.existingSecret, or set config.database.url without a password" }}
{{- end }}
{{- include "inbox.refusedSecrets" . }}
{{- include "inbox.refusedRoutes" . }}
{{- include "inbox.refusedMigration" . }}
{{- include "inbox.refusedReplicas" . }}
{{- include "inbox.refusedRelay" . }}
{{- end }}

{{- define "inbox.refusedSecrets" -}}
{{- $url := default "" (default dict .Values.config.database).url }}
{{- if or (regexMatch "://[^/@]*:.*@" $url) (regexMatch "(?i)(password|client_secret|scram_(client|server)_key)\\s*=" $url) }}
{{- fail "config.database.url holds a password, and a ConfigMap must not hold one; put the URL under the key database__url into the Secret of secrets.existingSecret" }}
{{- end }}
{{- range $section := list "kafka" "registry" }}
{{- range $name, $value := default dict (index $.Values.config $section) }}
{{- if and (ne $name "sasl.oauthbearer.token.endpoint.url") (regexMatch "(?i)(password|passphrase|secret|user.info|token|jaas|\\.pem$|^sasl.oauthbearer.(config|extensions)$)" $name) }}
{{- fail (printf "config.%s.%q is a secret, and a ConfigMap must not hold one; put it under the key %s__%s into the Secret of secrets.existingSecret" $section $name $section (replace "." "_" $name)) }}
{{- end }}
{{- if regexMatch "://[^/@]*:.*@" (toString $value) }}
{{- fail (printf "config.%s.%q holds a password, and a ConfigMap must not hold one; give a URL without one" $section $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- range .Values.workload.extraArgs }}
{{- if regexMatch "://[^/@]*:.*@" . }}
{{- fail "workload.extraArgs holds a URL with a password, and a pod's description must not hold one; give one without" }}
{{- end }}
{{- if regexMatch "(?i)^(-X)?\\s*[a-z._]*(password|passphrase|secret|user.info|token|jaas|\\.pem|oauthbearer.(config|extensions))[a-z._]*\\s*=" . }}
{{- if not (regexMatch "token.endpoint.url" .) }}
{{- fail (printf "workload.extraArgs gives %s, and a pod's description must not hold a secret; put it into the Secret of secrets.existingSecret" (regexReplaceAll "=.*" . "")) }}
{{- end }}
{{- end }}
{{- end }}
{{- range .Values.extraEnv }}
{{- if and .value (regexMatch "(?i)(DATABASE__URL|PASSWORD|PASSPHRASE|SECRET|TOKEN|JAAS|USER_INFO|OAUTHBEARER_(CONFIG|EXTENSIONS)$|OTLP_(.*_)?HEADERS|_PEM$)" .name) (ne .name "INBOX_SECRETS_DIR") (not (regexMatch "TOKEN_ENDPOINT_URL$" .name)) }}
{{- fail (printf "extraEnv sets %s by its value, and a pod's description must not hold a secret; use secrets.existingSecret, or valueFrom.secretKeyRef" .name) }}
{{- end }}
{{- if regexMatch "://[^/@]*:.*@" (default "" .value) }}
{{- fail (printf "extraEnv sets %s to a URL with a password, and a pod's description must not hold one; use valueFrom.secretKeyRef" .name) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "inbox.refusedRoutes" -}}
{{- range $index, $route := .Values.config.routes }}
{{- if and $route.handler (not $.Values.image.repository) }}
{{- fail (printf "config.routes[%d] names a handler, and the chart's own image has none; build your image (docs/how-to/build-your-image.md) and name it in image.repository" $index) }}
{{- end }}
{{- if eq (empty $route.topic) (empty $route.topics) }}
{{- fail (printf "config.routes[%d] needs one of topic and topics" $index) }}
{{- end }}
{{- if eq (empty $route.handler) (empty $route.table) }}
{{- fail (printf "config.routes[%d] needs one of handler and table" $index) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "inbox.refusedMigration" -}}
{{- $migration := .Values.migration }}
{{- if and $migration.enabled (eq $migration.mode "hook") .Values.secrets.externalSecret.enabled (not $migration.existingSecret) }}
{{- fail "migration.mode is hook, which runs before the ExternalSecret of this chart has made its Secret; set migration.mode to job, or name a Secret that is there in migration.existingSecret" }}
{{- end }}
{{- end }}

{{- define "inbox.refusedReplicas" -}}
{{- $workload := .Values.workload }}
{{- $many := or .Values.keda.enabled (gt ($workload.replicas | int) 1) (eq $workload.kind "StatefulSet") }}
{{- if and $many (hasKey (default dict .Values.config.kafka) "group.instance.id") }}
{{- fail "config.kafka.\"group.instance.id\" would be the same in every pod, and they would end each other; leave it out and set workload.kind to StatefulSet" }}
{{- end }}
{{- if .Values.keda.enabled }}
{{- if eq .Values.keda.trigger "prometheus" }}
{{- if not .Values.keda.serverAddress }}
{{- fail "keda.serverAddress is not set; name the Prometheus that scrapes the sink, or set keda.trigger to kafka" }}
{{- end }}
{{- if not .Values.keda.minReplicas }}
{{- fail "keda.minReplicas is 0, and without pods Prometheus has no lag to scale by; set keda.trigger to kafka" }}
{{- end }}
{{- end }}
{{- if not $workload.partitions }}
{{- fail "keda.enabled needs workload.partitions: more pods than partitions would have nothing to do" }}
{{- end }}
{{- if gt (.Values.keda.maxReplicas | int) ($workload.partitions | int) }}
{{- fail (printf "keda.maxReplicas is %d and workload.partitions %d; more pods than partitions would have nothing to do" (.Values.keda.maxReplicas | int) ($workload.partitions | int)) }}
{{- end }}
{{- if gt (.Values.keda.minReplicas | int) (default $workload.partitions .Values.keda.maxReplicas | int) }}
{{- fail "keda.minReplicas is above what keda.maxReplicas and workload.partitions allow; lower it" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "inbox.refusedRelay" -}}
{{- if .Values.relay.enabled }}
{{- if not (hasKey .Values.config "outbox") }}
{{- fail "relay.enabled needs config.outbox: without it there are no outbox tables; set config.outbox, to {} at least" }}
{{- end }}
{{- if eq (default "inbox" (default dict .Values.config.outbox).relay) "debezium" }}
{{- fail "relay.enabled and config.outbox.relay debezium would publish everything twice; keep one" }}
{{- end }}
{{- end }}
{{- end }}
