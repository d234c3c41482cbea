{{/* inbox.toml from values. A JSON text is a TOML basic string, and a JSON list of texts or numbers a TOML array; Helm's own
toToml writes whole numbers as floats. */}}
{{- define "inbox.toml" -}}
{{- $http := dict "listen" (printf "%s:%v" .Values.http.address .Values.http.port) }}
{{- $document := merge (dict "http" $http) (deepCopy .Values.config) }}
{{- include "inbox.tomlTable" (dict "path" "" "table" $document) | trim }}
{{ end }}

{{- define "inbox.tomlTable" -}}
{{- range $key, $value := .table }}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value) (include "inbox.isTables" $value)) }}
{{ include "inbox.tomlKey" $key }} = {{ toRawJson $value }}
{{- end }}
{{- end }}
{{- $path := .path }}
{{- range $key, $value := .table }}
{{- $here := printf "%s%s" $path (include "inbox.tomlKey" $key) }}
{{- if kindIs "map" $value }}

[{{ $here }}]
{{- include "inbox.tomlTable" (dict "path" (printf "%s." $here) "table" $value) }}
{{- else if include "inbox.isTables" $value }}
{{- range $value }}

[[{{ $here }}]]
{{- include "inbox.tomlTable" (dict "path" (printf "%s." $here) "table" .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Something for a list of tables, nothing for anything else. */}}
{{- define "inbox.isTables" -}}
{{- if kindIs "slice" . }}{{ with . }}{{ if kindIs "map" (first .) }}yes{{ end }}{{ end }}{{ end }}
{{- end }}

{{- define "inbox.tomlKey" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . }}{{ . }}{{ else }}{{ toRawJson . }}{{ end }}
{{- end }}
