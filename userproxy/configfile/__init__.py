"""The configuration file: `--config FILE`, a KubeProxyConfiguration, a UserproxyConfiguration, or both as two YAML documents.

Owns which of kube-proxy's fields and flags mean something here, the names of our own settings in a file, who wins (flag, then
environment, then file, then default) and reading the file again. What a setting does is `config`'s and its user's business.
"""
