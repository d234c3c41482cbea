{{- define "inbox.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 45 | trimSuffix "-" }}
{{- end }}

{{/* At most 45 characters: a CronJob's name has 52, of which "-prune" and "-audit" are some. */}}
{{- define "inbox.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride }}
{{- else if contains (include "inbox.name" .) .Release.Name }}
{{- .Release.Name | trunc 45 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "inbox.name" .) | trunc 45 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Takes (dict "root" $ "component" "sink"): the labels that a selector may go by. */}}
{{- define "inbox.selectorLabels" -}}
app.kubernetes.io/name: {{ include "inbox.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "inbox.labels" -}}
{{ include "inbox.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Takes (dict "root" $ "component" "sink" "name" "suffix or nothing" "fullName" "another name or nothing"
"annotations" (dict) "labels" (dict)): what every object begins with. */}}
{{- define "inbox.metadata" -}}
name: {{ default (include "inbox.fullname" .root) .fullName }}{{ with .name }}-{{ . }}{{ end }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "inbox.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (default dict .annotations) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Yours, or else the one that the release of the chart names, which has no handlers. */}}
{{- define "inbox.imageRepository" -}}
{{- default (index (default dict .Chart.Annotations) "kafka-inbox/image") (default dict .Values.image).repository }}
{{- end }}

{{- define "inbox.image" -}}
{{- $image := .Values.image }}
{{- $repository := include "inbox.imageRepository" . }}
{{- if $image.digest }}
{{- printf "%s@%s" $repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $repository (default .Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}

{{- define "inbox.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "inbox.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The Secret with the settings that are secret; nothing where there is none. */}}
{{- define "inbox.secretName" -}}
{{- if .Values.secrets.externalSecret.enabled }}
{{- include "inbox.fullname" . }}
{{- else }}
{{- .Values.secrets.existingSecret }}
{{- end }}
{{- end }}

{{/* What selects this sink's series: the labels that the PodMonitor gives them. */}}
{{- define "inbox.series" -}}
namespace="{{ .Release.Namespace }}",sink="{{ .Values.config.sink.name }}"
{{- end }}
