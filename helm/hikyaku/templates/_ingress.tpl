{{/* (dict "root" . "name" "ingress" "service" .Values.ingress.service "ports" (list "smtp")) */}}
{{- define "hikyaku.ingress.service" -}}
{{- $root := .root -}}
{{- $service := .service -}}
{{- $type := $service.type | default "LoadBalancer" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "hikyaku.metadata" (dict "root" $root "role" "ingress" "name" .name) | nindent 2 }}
  {{- with $service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ $type }}
  {{- if ne $type "ClusterIP" }}
  externalTrafficPolicy: {{ $service.externalTrafficPolicy | default "Local" }}
  {{- end }}
  {{- if eq $type "LoadBalancer" }}
  {{- with $service.loadBalancerClass }}
  loadBalancerClass: {{ . }}
  {{- end }}
  {{- with $service.loadBalancerIP }}
  loadBalancerIP: {{ . }}
  {{- end }}
  {{- with $service.loadBalancerSourceRanges }}
  loadBalancerSourceRanges:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- with $service.ipFamilyPolicy }}
  ipFamilyPolicy: {{ . }}
  {{- end }}
  {{- with $service.externalIPs }}
  externalIPs:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  selector:
    {{- include "hikyaku.selector" (dict "root" $root "role" "ingress") | nindent 4 }}
  ports:
    {{- range $port := .ports }}
    - name: {{ $port }}
      port: {{ (index $root.Values.ingress.ports $port).port }}
      targetPort: {{ $port }}
      {{- if ne $type "ClusterIP" }}
      {{- with index ($service.nodePorts | default dict) $port }}
      nodePort: {{ . }}
      {{- end }}
      {{- end }}
    {{- end }}
{{- end -}}
