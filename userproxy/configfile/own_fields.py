"""The settings of userproxy as fields of a file: `kind: UserproxyConfiguration`, in the spelling of Kubernetes.

Owns names (`half_close_timeout` is `halfCloseTimeout`) and the check of each value's type. Defaults, checks of the values and
documentation are `config`'s.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from userproxy.config import Config
from userproxy.setting import parse_seconds

API_VERSION = "userproxy.dev/v1alpha1"
KIND = "UserproxyConfiguration"

_SPELLED = {"cidr": "CIDR", "ipv6": "IPv6", "tls": "TLS", "nodeport": "nodePort"}


def field_name(setting: str) -> str:
    """Return how a setting is called in the file."""
    first, *rest = setting.split("_")
    return _SPELLED.get(first, first) + "".join(_SPELLED.get(word, word.capitalize()) for word in rest)


SETTINGS: dict[str, dataclasses.Field[Any]] = {
    field_name(field.name): field for field in dataclasses.fields(Config) if field.name != "config"
}
"""Every setting by its name in the file; the name of the file itself is the only one that cannot stand in it."""


def read_value(field: dataclasses.Field[Any], value: Any) -> Any:
    """Return the value of a setting. Raises ValueError with what is wanted instead."""
    if field.metadata["seconds"]:
        try:
            return parse_seconds(str(value))
        except ValueError:
            raise ValueError("a duration such as 90, 1.5s, 5m or 1h30m") from None
    if isinstance(field.default, bool):
        if not isinstance(value, bool):
            raise ValueError("true or false")
    elif isinstance(field.default, int):
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError("a whole number")
    elif field.metadata["choices"]:
        if value not in field.metadata["choices"]:
            raise ValueError("one of " + ", ".join(field.metadata["choices"]))
    else:
        return _text(value)
    return value


def _text(value: Any) -> str:
    """A text, a number written without quotes, or a list where the flag takes commas."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ",".join(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("a text")
    return str(value)
