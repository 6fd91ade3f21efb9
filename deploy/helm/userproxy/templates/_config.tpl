{{/* The settings as YAML: those of the mode, and over them those of the values. */}}
{{- define "userproxy.config" -}}
{{- $config := dict -}}
{{- if eq .Values.mode "alongside" -}}
{{- $config = dict "serviceProxyName" "userproxy" "healthzBindAddress" "127.0.0.1:10356" "metricsBindAddress" "127.0.0.1:10349" -}}
{{- end -}}
{{- if .Values.podMonitor.enabled -}}
{{- $_ := set $config "metricsBindAddress" (ternary "0.0.0.0:10349" "0.0.0.0:10249" (eq .Values.mode "alongside")) -}}
{{- end -}}
{{- mergeOverwrite $config .Values.config | toYaml -}}
{{- end -}}

{{/* Where the health server answers: host and port for a probe. */}}
{{- define "userproxy.probe" -}}
{{- $address := default "0.0.0.0:10256" (include "userproxy.config" . | fromYaml).healthzBindAddress -}}
{{- $host := regexReplaceAll ":[0-9]+$" $address "" | trimPrefix "[" | trimSuffix "]" -}}
{{- if not (has $host (list "0.0.0.0" "::")) }}
host: {{ $host | quote }}
{{- end }}
port: {{ regexFind "[0-9]+$" $address }}
{{- end -}}

{{- define "userproxy.metricsPort" -}}
{{- default "127.0.0.1:10249" (include "userproxy.config" . | fromYaml).metricsBindAddress | regexFind "[0-9]+$" -}}
{{- end -}}

{{/* A sum of the settings that need a restart. */}}
{{- define "userproxy.restartSum" -}}
{{- $config := include "userproxy.config" . | fromYaml -}}
{{- range splitList "," (include "userproxy.liveSettings" .) -}}
{{- $_ := unset $config . -}}
{{- end -}}
{{- $config | toJson | sha256sum -}}
{{- end -}}

{{/* Where the agent of a node is asked by a Pod in the node's network. */}}
{{- define "userproxy.agent" -}}
{{- $address := default "127.0.0.1:10249" (include "userproxy.config" . | fromYaml).metricsBindAddress -}}
{{- regexReplaceAll "^(0[.]0[.]0[.]0|\\[::\\])?:" $address "127.0.0.1:" -}}
{{- end -}}

{{/* Rights and resources of a container that only asks. */}}
{{- define "userproxy.unprivileged" -}}
resources:
  requests:
    cpu: 10m
    memory: 64Mi
  limits:
    memory: 128Mi
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
  seccompProfile:
    type: RuntimeDefault
{{- end -}}
