{{/* Pieces of NetworkPolicies. */}}

{{/* Pods of this release with one of the roles: (dict "root" . "roles" (list "ingress")) */}}
{{- define "hikyaku.peers" -}}
{{- range $role := .roles }}
- podSelector:
    matchLabels:
      {{- include "hikyaku.selector" (dict "root" $.root "role" $role) | nindent 6 }}
{{- end }}
{{- /* Pods in their node's network come from the node. */ -}}
{{- if and (has "delivery" .roles) .root.Values.delivery.hostNetwork }}
{{- range .root.Values.networkPolicy.nodeNetworks }}
- ipBlock: { cidr: {{ . | quote }} }
{{- end }}
{{- end }}
{{- end -}}

{{/* A port of each: (list 25 465) */}}
{{- define "hikyaku.tcpPorts" -}}
{{- range . }}
- { protocol: TCP, port: {{ . }} }
{{- end }}
{{- end -}}

{{- define "hikyaku.egress.dns" -}}
- ports: [{ protocol: UDP, port: 53 }, { protocol: TCP, port: 53 }]
  {{- with .Values.networkPolicy.dnsTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "hikyaku.egress.nats" -}}
{{- if .Values.nats.enabled -}}
- ports: [{ protocol: TCP, port: 4222 }]
  to:
    {{- include "hikyaku.peers" (dict "root" . "roles" (list "nats")) | trim | nindent 4 }}
{{- else -}}
- ports:
    {{- $ports := list }}
    {{- range splitList "," .Values.nats.url }}{{ $ports = append $ports (regexFind "[0-9]+$" (trim .) | default "4222") }}{{ end }}
    {{- include "hikyaku.tcpPorts" (uniq $ports) | trim | nindent 4 }}
  {{- with .Values.networkPolicy.natsTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end -}}

{{- define "hikyaku.egress.policy" -}}
- ports: [{ protocol: TCP, port: 7002 }]
  to:
    {{- include "hikyaku.peers" (dict "root" . "roles" (list "policy")) | trim | nindent 4 }}
{{- end -}}

{{- define "hikyaku.egress.otlp" -}}
{{- with .Values.config.otlp_endpoint -}}
- ports: [{ protocol: TCP, port: {{ regexFind "[0-9]+$" (trimSuffix "/" .) | default "4317" }} }]
  {{- with $.Values.networkPolicy.otlpTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end -}}

{{- define "hikyaku.ingress.metrics" -}}
- ports: [{ protocol: TCP, port: 9090 }]
  from:
    {{- toYaml .Values.networkPolicy.metricsFrom | nindent 4 }}
{{- end -}}

{{/* What every role may do. */}}
{{- define "hikyaku.egress.common" -}}
{{ include "hikyaku.egress.dns" . }}
{{ include "hikyaku.egress.nats" . }}
{{- with include "hikyaku.egress.otlp" . }}
{{ . }}
{{- end }}
{{- end -}}

{{/* Head of a policy: (dict "root" . "role" "ingress") */}}
{{- define "hikyaku.networkPolicy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "hikyaku.metadata" (dict "root" .root "role" .role "name" .role) | nindent 2 }}
spec:
  policyTypes: [Ingress, Egress]
  podSelector:
    matchLabels:
      {{- include "hikyaku.selector" . | nindent 6 }}
{{- end -}}
