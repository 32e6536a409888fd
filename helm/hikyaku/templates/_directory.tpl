{{/* The hook that applies documents. */}}
{{- define "hikyaku.directory.args" }}
{{- include "hikyaku.operator.args" (dict "root" . "role" "policy" "port" 7002 "flag" "--directory-server") }}
- directory
- apply
- /documents
- --comment=chart {{ .Chart.Version }}, release {{ .Release.Name }} revision {{ .Release.Revision }}
{{- end }}

{{- define "hikyaku.directory.volume" }}
- name: documents
  projected:
    defaultMode: 0440
    sources:
      {{- if or .Values.directory.documents .Values.directory.existingConfigMap }}
      - configMap: { name: {{ .Values.directory.existingConfigMap | default (printf "%s-directory" (include "hikyaku.name" .)) }} }
      {{- end }}
      {{- with .Values.directory.credentialsSecret }}
      - secret: { name: {{ . }}, items: [{ key: credentials, path: credentials }] }
      {{- end }}
{{- end }}
