"""Files that people write: reading them as YAML, and noticing that they change.

Owns nothing of what the files mean: manifests are `standalone`'s business, the configuration file is `configfile`'s.
"""
