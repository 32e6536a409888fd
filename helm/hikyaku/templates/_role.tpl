{{/* What each role has beside its Deployment: (dict "root" . "role" "ingress") */}}
{{- define "hikyaku.role" -}}
{{- $root := .root -}}
{{- $role := .role -}}
{{- $values := index $root.Values $role -}}
{{- $name := include "hikyaku.name" $root -}}
{{- $metadata := include "hikyaku.metadata" (dict "root" $root "role" $role "name" $role) -}}
---
apiVersion: v1
kind: ConfigMap
metadata:
  {{- $metadata | nindent 2 }}
data:
  hikyaku.toml: |
    {{- include "hikyaku.toml" . | nindent 4 }}
{{- if $values.serviceAccount.create }}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "hikyaku.serviceAccount" . }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "hikyaku.labels" . | nindent 4 }}
  {{- with $values.serviceAccount.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end }}
{{- if $values.pdb.enabled }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- $metadata | nindent 2 }}
spec:
  maxUnavailable: {{ $values.pdb.maxUnavailable }}
  # A pod that does not work any more does not keep its node.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "hikyaku.selector" . | nindent 6 }}
{{- end }}
{{- if $values.autoscaling.enabled }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- $metadata | nindent 2 }}
spec:
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: {{ $name }}-{{ $role }} }
  minReplicas: {{ $values.autoscaling.minReplicas }}
  maxReplicas: {{ $values.autoscaling.maxReplicas }}
  metrics:
    {{- include "hikyaku.scaleMetric" $values.autoscaling | nindent 4 }}
  behavior:
    {{- include "hikyaku.scaleBehavior" $values.autoscaling | nindent 4 }}
{{- end }}
{{- end -}}

{{- define "hikyaku.scaleMetric" -}}
{{- if eq (.metric | default "cpu") "due" -}}
- type: Pods
  pods:
    metric: { name: mail_delivery_due }
    target: { type: AverageValue, averageValue: {{ .targetDueEntries | quote }} }
{{- else if eq (.metric | default "cpu") "external" -}}
- type: External
  external:
    metric:
      name: {{ .externalMetric }}
      {{- with .externalLabels }}
      selector:
        matchLabels:
          {{- toYaml . | nindent 10 }}
      {{- end }}
    target: { type: AverageValue, averageValue: {{ .targetDueEntries | quote }} }
{{- else -}}
- type: Resource
  resource:
    name: cpu
    target: { type: Utilization, averageUtilization: {{ .targetCPUUtilizationPercentage }} }
{{- end -}}
{{- end -}}

{{- define "hikyaku.scaleBehavior" -}}
{{- if .behavior -}}
{{- toYaml .behavior -}}
{{- else -}}
scaleUp:
  stabilizationWindowSeconds: 0
  policies: [{ type: Percent, value: 100, periodSeconds: 30 }, { type: Pods, value: 2, periodSeconds: 30 }]
scaleDown:
  # Shards and clients change hands with each pod that goes.
  stabilizationWindowSeconds: 300
  policies: [{ type: Pods, value: 1, periodSeconds: 60 }]
{{- end -}}
{{- end -}}
