{{/* Takes (dict "root" $ "component" "sink" "secret" "name or nothing" "config" "name of the ConfigMap"): what a pod has around its container. */}}
{{- define "inbox.podMetadata" -}}
labels:
  {{- include "inbox.selectorLabels" . | nindent 2 }}
  {{- with .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  checksum/config: {{ include "inbox.toml" .root | sha256sum }}
  {{- with .root.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "inbox.podSpec" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  {{- with .root.Values.securityContext.runAsUser }}
  runAsUser: {{ . | int64 }}
  runAsGroup: {{ . | int64 }}
  {{- end }}
  {{- with .root.Values.securityContext.fsGroup }}
  fsGroup: {{ . | int64 }}
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: config
    configMap:
      name: {{ .config }}
  - name: tmp
    emptyDir: {sizeLimit: 64Mi}
  {{- with .secret }}
  - name: secrets
    secret:
      secretName: {{ . }}
      defaultMode: 0440
  {{- end }}
  {{- with .root.Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* Takes the same and "args" (list), "resources", "env" (list or nothing): the container, without probes and ports. */}}
{{- define "inbox.container" -}}
name: inbox
image: {{ include "inbox.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args:
  {{- toYaml .args | nindent 2 }}
env:
  - name: INBOX_CONFIG
    value: /etc/inbox/inbox.toml
  {{- if .secret }}
  - name: INBOX_SECRETS_DIR
    value: /run/secrets/inbox
  {{- end }}
  {{- with .env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with .root.Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .root.Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  {{- toYaml .resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
volumeMounts:
  - name: config
    mountPath: /etc/inbox
    readOnly: true
  - name: tmp
    mountPath: /tmp
  {{- if .secret }}
  - name: secrets
    mountPath: /run/secrets/inbox
    readOnly: true
  {{- end }}
  {{- with .root.Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* Takes what a container takes: the pods wait for the plain Job that migrates. A hook ends before they begin. */}}
{{- define "inbox.waitForSchema" -}}
{{- $migration := .root.Values.migration }}
{{- if and $migration.enabled (eq $migration.mode "job") }}
{{- $wait := merge (dict "args" (list "migrate" "--check" "--wait" (printf "%ds" ($migration.activeDeadlineSeconds | int))) "resources" $migration.resources "env" list) . }}
initContainers:
  - {{- include "inbox.container" $wait | replace "name: inbox\n" "name: wait-for-schema\n" | nindent 4 }}
{{- end }}
{{- end }}

{{- define "inbox.probes" -}}
ports:
  - name: http
    containerPort: {{ .Values.http.port }}
livenessProbe:
  httpGet:
    path: /live
    port: http
  {{- toYaml .Values.livenessProbe | nindent 2 }}
readinessProbe:
  httpGet:
    path: /ready
    port: http
  {{- toYaml .Values.readinessProbe | nindent 2 }}
{{- end }}

{{/* Takes (dict "root" $ "component" ...): each constraint, with the pods' selector where it has none. */}}
{{- define "inbox.spread" -}}
{{- $selector := dict "matchLabels" (include "inbox.selectorLabels" . | fromYaml) }}
{{- with .root.Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  - {{- toYaml (merge (deepCopy .) (dict "labelSelector" $selector)) | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* A Job's spec; takes what a container takes, and "backoffLimit". */}}
{{- define "inbox.jobPod" -}}
template:
  metadata:
    {{- include "inbox.podMetadata" . | nindent 4 }}
  spec:
    restartPolicy: Never
    serviceAccountName: {{ .serviceAccountName }}
    {{- include "inbox.podSpec" . | nindent 4 }}
    containers:
      - {{- include "inbox.container" . | nindent 8 }}
{{- end }}
