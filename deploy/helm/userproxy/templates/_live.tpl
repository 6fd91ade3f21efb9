{{/* Settings whose change restarts nothing. Made by `python3 -m tests.deploy.generate`. */}}
{{- define "userproxy.liveSettings" -}}clusterCIDR,nodePortAddresses,localhostNodeports,noEndpoints,balance,eject,drainTimeout,keepCapture,logLevel,logFormat{{- end -}}
