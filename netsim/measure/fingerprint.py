"""The fingerprint: one SHA-256 over everything that a run observed.

Same spec and seed give the same fingerprint on any machine. It is taken from the raw records in the order in which
they happened, never from tables, so that it does not depend on versions of pandas or Parquet; mappings are written
with sorted keys, so that it does not depend on PYTHONHASHSEED.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import Field, fields, is_dataclass
from enum import Enum
from typing import Any, Final

from netsim.measure.collect import Recording

# Raise the number when the canonical form changes: fingerprints are comparable only within one number.
_SCHEMA: Final = b"netsim fingerprint 1\n"


class Fingerprint:
    """A running digest of records."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256(_SCHEMA)

    def add(self, kind: str, value: object) -> None:
        """Take in one record (a dataclass), mapping, sequence or scalar under a kind. TypeError for what has no
        canonical form (sets, floats that are not numbers, arbitrary objects)."""
        row = json.dumps([kind, _canonical(value)], separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        self._hash.update(row.encode("ascii") + b"\n")

    def add_all(self, kind: str, values: Iterable[object]) -> None:
        """Take in records in their order."""
        for value in values:
            self.add(kind, value)

    def hexdigest(self) -> str:
        """64 hexadecimal digits."""
        return self._hash.hexdigest()


def fingerprint(recordings: Iterable[Recording]) -> str:
    """The fingerprint of an experiment: of all its replications, in order of their number."""
    digest = Fingerprint()
    for recording in sorted(recordings, key=lambda r: r.replication):
        digest.add("replication", [recording.replication, recording.epoch_ns, recording.end_ns])
        digest.add_all("request", recording.requests)
        digest.add_all("event", recording.events)
        digest.add_all("fault", recording.faults)
        digest.add_all("proxied", recording.proxied)
        if recording.books is not None:
            digest.add("books", recording.books.as_dict())
        digest.add("counters", recording.counters)
    return digest.hexdigest()


def _canonical(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int | float):
        return value.name if isinstance(value, Enum) else value
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return [[_canonical(key), _canonical(value[key])] for key in sorted(value)]
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        found = [(field, getattr(value, field.name)) for field in fields(value)]
        return [_canonical(item) for field, item in found if not _left_out(field, item)]
    raise TypeError(f"{type(value).__name__} has no canonical form for the fingerprint")


def _left_out(field: "Field[Any]", value: object) -> bool:
    """A field that came later counts only where it says something, so that fingerprints of older runs stay."""
    return field.metadata.get("fingerprint") == "unless default" and value == field.default
