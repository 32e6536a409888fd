{{/* Names and labels. A selector never has the version in it. */}}

{{- define "hikyaku.name" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Name and labels of an object: (dict "root" . "role" "ingress" "name" "ingress-internal"); the last two may be left out. */}}
{{- define "hikyaku.metadata" -}}
name: {{ include "hikyaku.name" .root }}{{ with .name }}-{{ . }}{{ end }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "hikyaku.labels" . | nindent 2 }}
{{- end -}}

{{- define "hikyaku.labels" -}}
app.kubernetes.io/name: hikyaku
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .role }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* (dict "root" . "role" "ingress") */}}
{{- define "hikyaku.selector" -}}
app.kubernetes.io/name: hikyaku
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{- define "hikyaku.serviceAccount" -}}
{{- $account := (index .root.Values .role).serviceAccount -}}
{{- if $account.name }}{{ $account.name }}{{ else if $account.create }}{{ include "hikyaku.name" .root }}-{{ .role }}{{ else }}default{{ end -}}
{{- end -}}

{{/* Repository, and the tag or the digest: (dict "image" .Values.image "tag" "of the chart") */}}
{{- define "hikyaku.image" -}}
{{- if .image.digest }}{{ printf "%s@%s" .image.repository .image.digest }}{{ else }}{{ printf "%s:%s" .image.repository (default .tag .image.tag) }}{{ end -}}
{{- end -}}

{{/* Whether a HorizontalPodAutoscaler or KEDA sets the number of pods: "true" or nothing. */}}
{{- define "hikyaku.isScaled" -}}
{{- $values := index .root.Values .role -}}
{{- if or $values.autoscaling.enabled (and $values.keda $values.keda.enabled) }}true{{ end -}}
{{- end -}}

{{/* What Pod Security at the level restricted asks of each container. */}}
{{- define "hikyaku.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{- define "hikyaku.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end -}}
