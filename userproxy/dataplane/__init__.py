"""The data plane: listening sockets, accepted connections, dials and the relay of bytes.

Knows nothing of Kubernetes: it is handed listener specifications and endpoints, and counts what it carries.
"""
