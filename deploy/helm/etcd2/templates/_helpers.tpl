{{/* The name of everything: that of the release, which must fit into the names of pods. */}}
{{- define "etcd2.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "etcd2.selector" -}}
app.kubernetes.io/name: etcd2
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "etcd2.labels" -}}
{{ include "etcd2.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "etcd2.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "etcd2.clientScheme" -}}
{{ ternary "https" "http" .Values.tls.client.enabled }}
{{- end -}}

{{- define "etcd2.peerScheme" -}}
{{ ternary "https" "http" .Values.tls.peer.enabled }}
{{- end -}}

{{/* NAME=URL of each founding member. */}}
{{- define "etcd2.founders" -}}
{{- $name := include "etcd2.name" . -}}
{{- $scheme := include "etcd2.peerScheme" . -}}
{{- range $at := until (int .Values.members) -}}
{{- if $at }},{{ end -}}
{{ $name }}-{{ $at }}={{ $scheme }}://{{ $name }}-{{ $at }}.{{ $name }}-peers:2380
{{- end -}}
{{- end -}}
