{{/* A pod of hooks and tests: (dict "root" . "containers" "..." "initContainers" "..." "volumes" "...") */}}
{{- define "hikyaku.operator.pod" -}}
{{- $root := .root -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "hikyaku.podSecurity" 65532 | nindent 2 }}
{{- with .initContainers }}
initContainers:
  {{- . | nindent 2 }}
{{- end }}
containers:
  {{- .containers | nindent 2 }}
volumes:
  {{- include "hikyaku.operator.volumes" $root | nindent 2 }}
  {{- with .volumes }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* One command of hikyakuctl: (dict "root" . "name" "apply" "args" "- directory ..." "mounts" "...") */}}
{{- define "hikyaku.operator.container" -}}
{{- $root := .root -}}
- name: {{ .name }}
  image: {{ include "hikyaku.image" (dict "image" $root.Values.image "tag" $root.Chart.AppVersion) | quote }}
  imagePullPolicy: {{ $root.Values.image.pullPolicy }}
  command: [hikyakuctl]
  args:
    {{- .args | nindent 4 }}
  env:
    {{- include "hikyaku.operator.env" $root | nindent 4 }}
  resources:
    {{- toYaml $root.Values.operator.resources | nindent 4 }}
  securityContext:
    {{- include "hikyaku.containerSecurity" $root | nindent 4 }}
  volumeMounts:
    {{- include "hikyaku.operator.mounts" $root | nindent 4 }}
    {{- with .mounts }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end -}}
