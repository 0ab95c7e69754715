{{- define "tetherd.name" -}}
{{- if contains "tetherd" .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-tetherd" .Release.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "tetherd.selector" -}}
app.kubernetes.io/name: tetherd
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tetherd.labels" -}}
{{ include "tetherd.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "tetherd.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "tetherd.config" -}}
{{- if .Values.config }}{{ trimSuffix "\n" .Values.config }}

{{ end -}}
[node]
resource_name = {{ .Values.node.resourceName | toJson }}
resource_display_name = {{ .Values.node.resourceDisplayName | toJson }}
project_display_name = {{ .Values.node.projectDisplayName | toJson }}

[syslog]
enabled = {{ .Values.syslog.enabled }}

[control]
metrics_file = {{ ternary "/run/metrics/tetherd.prom" "" (ne .Values.metrics.hostPath "") | toJson }}
{{ end }}

{{/* What is read on the node, as a JSON array of paths. */}}
{{- define "tetherd.read" -}}
{{- $paths := .Values.runtimes }}
{{- with .Values.podLogs }}{{ $paths = append $paths . }}{{ end }}
{{- with .Values.kubelet }}{{ $paths = append $paths . }}{{ end }}
{{- toJson $paths }}
{{- end }}
