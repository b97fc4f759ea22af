{{- define "orders.labels" -}}
app.kubernetes.io/name: orders
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "orders.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
{{- define "orders.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
seccompProfile:
  type: RuntimeDefault
{{- end }}
{{- define "orders.env" -}}
- name: REDIS_HOST
  value: {{ .Release.Name }}-redis
- name: REDIS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ .Values.redis.auth.existingSecret | default (printf "%s-redis" .Release.Name) }}
      key: password
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
