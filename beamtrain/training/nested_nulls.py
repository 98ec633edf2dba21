"""null as an option for an argument of a class that is itself an argument of a class.

jsonargparse hands such an option on as text, from class to class, and null as Python's None, which the next class reads
as a word; so its reading of values is replaced while settings are parsed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from jsonargparse import _typehints


@contextmanager
def nested_nulls() -> Iterator[None]:
    """Parse inside of this."""
    read = _typehints.parse_value_or_config

    def with_null_as_text(value: Any, *options: Any, **named: Any) -> Any:
        found, place = read(value, *options, **named)
        if isinstance(found, _typehints.NestedArg) and "." in found.key and found.val is None:
            found = found._replace(val="null")
        return found, place

    with patch.object(_typehints, "parse_value_or_config", with_null_as_text):
        yield
