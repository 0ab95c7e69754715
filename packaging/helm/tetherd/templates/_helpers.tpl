{{- define "tetherd.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "tetherd.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "tetherd.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "tetherd.selector" -}}
app.kubernetes.io/name: {{ include "tetherd.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tetherd.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "tetherd.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: sensor
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "tetherd.account" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "tetherd.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "tetherd.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- /* What each is for: SECURITY.md. */ -}}
{{- define "tetherd.capabilities" -}}
- NET_ADMIN
- SYS_PTRACE
- DAC_READ_SEARCH
- SYS_NICE
{{- if .Values.networkNamespaces }}
- SYS_ADMIN
{{- end }}
{{- if eq .Values.fanotify "hold" }}
- IPC_LOCK
{{- end }}
{{- end -}}
