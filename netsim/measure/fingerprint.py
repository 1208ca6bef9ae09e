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
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if kind in _LAYOUTS or (is_dataclass(value) and kind is not type):
        return _record(value)
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return [[_canonical(key), _canonical(value[key])] for key in sorted(value)]
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    raise TypeError(f"{kind.__name__} has no canonical form for the fingerprint")


# What most fields hold; asked by exact type, as an Enum may also be a string or number.
_AS_THEY_ARE: Final = frozenset({str, int, bool, float, type(None)})
_ALWAYS: Final = object()  # no value equals it
_LAYOUTS: Final[dict[type, tuple[tuple[str, object], ...]]] = {}


def _record(value: Any) -> list[Any]:
    """The fields of a dataclass in their order. One that came later (`fingerprint: unless default`) counts only where
    it says something, so that fingerprints of older runs stay."""
    layout = _LAYOUTS.get(type(value))
    if layout is None:
        layout = _LAYOUTS[type(value)] = tuple((field.name, _left_out_as(field)) for field in fields(value))
    found = []
    for name, left_out in layout:
        item = getattr(value, name)
        if item != left_out:
            found.append(item if type(item) in _AS_THEY_ARE else _canonical(item))
    return found


def _left_out_as(field: "Field[Any]") -> object:
    return field.default if field.metadata.get("fingerprint") == "unless default" else _ALWAYS
