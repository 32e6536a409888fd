{{- define "hikyaku.name" -}}
{{- printf "%s" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "hikyaku.labels" -}}
app.kubernetes.io/name: hikyaku
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end -}}

{{- define "hikyaku.selector" -}}
app.kubernetes.io/name: hikyaku
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{/* How the roles know each other, in the configuration. */}}
{{- define "hikyaku.grpc" -}}
{{- $grpc := .Values.grpc -}}
{{- if and $grpc.existingSecret $grpc.plaintext -}}
{{- fail "grpc.existingSecret and grpc.plaintext contradict each other: TLS, or none" -}}
{{- else if $grpc.existingSecret -}}
grpc = { callers = "/etc/hikyaku-callers/callers", certificate = "/run/secrets/hikyaku-grpc/tls.crt", key = "/run/secrets/hikyaku-grpc/tls.key", client_ca = "/run/secrets/hikyaku-grpc/ca.crt", ca = "/run/secrets/hikyaku-grpc/ca.crt" }
{{- else if not $grpc.plaintext -}}
{{- fail "grpc.existingSecret is required: the certificate that the roles show each other; or grpc.plaintext, when a service mesh does it" -}}
{{- else if not $grpc.tokenSecret -}}
{{- fail "grpc.tokenSecret is required with grpc.plaintext: the token that ingress and delivery show to the policy" -}}
{{- else -}}
grpc = { callers = "/etc/hikyaku-callers/callers", token_file = "/run/secrets/hikyaku-grpc/token", plaintext = true }
{{- end -}}
{{- end -}}

{{/* One role, its port and the port that tells whether it is there:
{{ include "hikyaku.deployment" (dict "root" . "role" "ingress" "port" 2525 "probe" "ingress") }} */}}
{{- define "hikyaku.deployment" -}}
{{- $values := index .root.Values .role -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "hikyaku.name" .root }}-{{ .role }}
  labels:
    {{- include "hikyaku.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .role }}
spec:
  replicas: {{ $values.replicas }}
  selector:
    matchLabels:
      {{- include "hikyaku.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "hikyaku.selector" . | nindent 8 }}
      annotations:
        checksum/config: {{ include (print .root.Template.BasePath "/configmap.yaml") .root | sha256sum }}
    spec:
      automountServiceAccountToken: false
      # The relay drains within 30 s.
      terminationGracePeriodSeconds: 40
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        fsGroup: 65532
        seccompProfile: { type: RuntimeDefault }
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "hikyaku.selector" . | nindent 14 }}
      containers:
        - name: {{ .role }}
          image: "{{ .root.Values.image.repository }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}"
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          args: [{{ .role }}, --config, /etc/hikyaku/hikyaku.toml]
          ports:
            - { name: {{ .role }}, containerPort: {{ .port }} }
            - { name: metrics, containerPort: 9090 }
          startupProbe:
            tcpSocket: { port: {{ .probe }} }
            periodSeconds: 2
            failureThreshold: 60
          readinessProbe:
            tcpSocket: { port: {{ .probe }} }
          resources:
            {{- toYaml $values.resources | nindent 12 }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: { drop: [ALL] }
          volumeMounts:
            - { name: config, mountPath: /etc/hikyaku, readOnly: true }
            - { name: passwords, mountPath: /run/secrets/hikyaku, readOnly: true }
            - { name: callers, mountPath: /etc/hikyaku-callers, readOnly: true }
            - { name: grpc, mountPath: /run/secrets/hikyaku-grpc, readOnly: true }
            {{- if $values.loginsSecret }}
            - { name: logins, mountPath: /run/secrets/hikyaku-logins, readOnly: true }
            {{- end }}
      volumes:
        - name: config
          configMap: { name: {{ include "hikyaku.name" .root }} }
        - name: passwords
          secret: { secretName: {{ .root.Values.nats.existingSecret }}, defaultMode: 0440 }
        - name: callers
          configMap: { name: {{ include "hikyaku.name" .root }}-callers }
        - name: grpc
          secret: { secretName: {{ .root.Values.grpc.existingSecret | default .root.Values.grpc.tokenSecret }}, defaultMode: 0440 }
        {{- if $values.loginsSecret }}
        - name: logins
          secret: { secretName: {{ $values.loginsSecret }}, defaultMode: 0440 }
        {{- end }}
{{- end -}}

{{/* {{ include "hikyaku.disruption" (dict "root" . "role" "ingress") }} */}}
{{- define "hikyaku.disruption" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "hikyaku.name" .root }}-{{ .role }}
  labels:
    {{- include "hikyaku.labels" .root | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "hikyaku.selector" . | nindent 6 }}
{{- end -}}
