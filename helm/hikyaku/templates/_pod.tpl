{{/* One role: (dict "root" . "role" "ingress" "ports" (dict "smtp" 2525)) */}}
{{- define "hikyaku.deployment" -}}
{{- $root := .root -}}
{{- $role := .role -}}
{{- $values := index $root.Values $role -}}
{{- $name := include "hikyaku.name" $root -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "hikyaku.metadata" (dict "root" $root "role" $role "name" $role) | nindent 2 }}
spec:
  {{- if not (include "hikyaku.isScaled" .) }}
  replicas: {{ $values.replicas }}
  {{- end }}
  minReadySeconds: {{ $values.minReadySeconds }}
  strategy:
    type: RollingUpdate
    rollingUpdate:
      {{- if $values.strategy }}
      {{- toYaml $values.strategy | nindent 6 }}
      {{- else if $values.hostNetwork }}
      maxUnavailable: 1
      maxSurge: 0
      {{- else }}
      maxUnavailable: 0
      maxSurge: 1
      {{- end }}
  selector:
    matchLabels:
      {{- include "hikyaku.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- with $values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        {{- include "hikyaku.selector" . | nindent 8 }}
      annotations:
        {{- with $values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        checksum/config: {{ include "hikyaku.toml" . | sha256sum }}
    spec:
      serviceAccountName: {{ include "hikyaku.serviceAccount" . }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      {{- with $root.Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- if $values.hostNetwork }}
      hostNetwork: true
      {{- end }}
      dnsPolicy: {{ $values.dnsPolicy | default (ternary "ClusterFirstWithHostNet" "ClusterFirst" (not (empty $values.hostNetwork))) }}
      {{- with $values.dnsConfig }}
      dnsConfig:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
      securityContext:
        {{- include "hikyaku.podSecurity" 65532 | nindent 8 }}
      {{- with $values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      topologySpreadConstraints:
        {{- if $values.topologySpreadConstraints }}
        {{- toYaml $values.topologySpreadConstraints | nindent 8 }}
        {{- else }}
        {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
        - maxSkew: 1
          topologyKey: {{ $key }}
          whenUnsatisfiable: ScheduleAnyway
          matchLabelKeys: [pod-template-hash]
          labelSelector:
            matchLabels:
              {{- include "hikyaku.selector" $ | nindent 14 }}
        {{- end }}
        {{- end }}
      containers:
        - name: {{ $role }}
          image: {{ include "hikyaku.image" (dict "image" $root.Values.image "tag" $root.Chart.AppVersion) | quote }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: [{{ $role }}, --config, /etc/hikyaku/hikyaku.toml]
          env:
            # The name by which workers know each other and operators know the pod.
            - name: HIKYAKU__NODE
              valueFrom: { fieldRef: { fieldPath: metadata.name } }
            {{- with $values.extraEnv }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          ports:
            {{- range $port, $number := .ports }}
            - { name: {{ $port }}, containerPort: {{ $number }} }
            {{- end }}
            - { name: metrics, containerPort: 9090 }
          # It waits a minute for its broker and a minute for the policy before it gives up by itself.
          startupProbe:
            httpGet: { path: /livez, port: metrics }
            periodSeconds: 2
            failureThreshold: 30
          livenessProbe:
            httpGet: { path: /livez, port: metrics }
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          readinessProbe:
            httpGet: { path: /readyz, port: metrics }
            periodSeconds: 5
            timeoutSeconds: 3
            failureThreshold: 2
          {{- if $values.preStopSeconds }}
          lifecycle:
            preStop: { sleep: { seconds: {{ $values.preStopSeconds }} } }
          {{- end }}
          resources:
            {{- toYaml $values.resources | nindent 12 }}
          securityContext:
            {{- include "hikyaku.containerSecurity" $ | nindent 12 }}
          volumeMounts:
            - { name: config, mountPath: /etc/hikyaku, readOnly: true }
            - { name: nats, mountPath: /run/secrets/hikyaku-nats, readOnly: true }
            {{- include "hikyaku.mounts" . | trim | nindent 12 }}
            {{- with $values.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        - name: config
          configMap: { name: {{ $name }}-{{ $role }} }
        - name: nats
          secret:
            secretName: {{ include "hikyaku.nats.secret" $root }}
            defaultMode: 0440
            items: [{ key: password, path: password }, { key: system-password, path: system-password }]
        {{- include "hikyaku.volumes" . | trim | nindent 8 }}
        {{- with $values.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end -}}

{{/* What a role needs and others do not, as lines of NAME, FOLDER and the volume's source. */}}
{{- define "hikyaku.secrets" -}}
{{- $root := .root -}}
{{- $values := index $root.Values .role -}}
{{- if include "hikyaku.isTls" $root }}
- { name: mesh, folder: /run/secrets/hikyaku-mesh, secret: {{ include "hikyaku.mesh.secret" . }} }
{{- else if ne .role "policy" }}
- { name: token, folder: /run/secrets/hikyaku-token, secret: {{ include "hikyaku.mesh.tokenSecret" $root }}, key: relay }
{{- end }}
{{- if and (not $root.Values.nats.enabled) $root.Values.nats.tls.existingSecret }}
- { name: nats-tls, folder: /run/secrets/hikyaku-nats-tls, secret: {{ $root.Values.nats.tls.existingSecret }} }
{{- end }}
{{- if and (eq .role "ingress") (include "hikyaku.smtpTls.secret" $root) }}
- { name: tls, folder: /run/secrets/hikyaku-tls, secret: {{ include "hikyaku.smtpTls.secret" $root }} }
{{- end }}
{{- with $values.loginsSecret }}
- { name: logins, folder: /run/secrets/hikyaku-logins, secret: {{ . }} }
{{- end }}
{{- with $values.ldapSecret }}
- { name: ldap, folder: /run/secrets/hikyaku-ldap, secret: {{ . }} }
{{- end }}
{{- end -}}

{{- define "hikyaku.mounts" -}}
{{- range include "hikyaku.secrets" . | fromYamlArray }}
- { name: {{ .name }}, mountPath: {{ .folder }}, readOnly: true }
{{- end }}
{{- if ne .role "ingress" }}
- { name: callers, mountPath: /etc/hikyaku-callers, readOnly: true }
{{- end }}
{{- end -}}

{{- define "hikyaku.volumes" -}}
{{- range include "hikyaku.secrets" . | fromYamlArray }}
- name: {{ .name }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    {{- with .key }}
    items: [{ key: {{ . }}, path: token }]
    {{- end }}
{{- end }}
{{- if ne .role "ingress" }}
- name: callers
  configMap: { name: {{ include "hikyaku.name" .root }}-callers }
{{- end }}
{{- end -}}
