"""Errors about fields, worded as k8s.io/apimachinery/pkg/util/validation/field words them.

Used by the other files of this folder. `hint` is ours: what to write instead, where the API server only says what is
wrong.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Item = str | int
Path = tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class FieldError:
    """One problem. `key`: it is the field itself that should not be there, not its value."""

    path: Path
    text: str
    hint: str = ""
    key: bool = False

    @property
    def message(self) -> str:
        """The API server's words, and ours after a colon."""
        return f"{self.text}: {self.hint}" if self.hint else self.text

    def __str__(self) -> str:
        return f"{_path_text(self.path)}: {self.text}"


def _path_text(path: Path) -> str:
    text = ""
    for item in path:
        text += f"[{item}]" if isinstance(item, int) else f".{item}" if text else item
    return text


def shown(value: Any) -> str:
    """A value as Go's %v and %q show it in messages."""
    if isinstance(value, tuple):
        value = list(value)
    return json.dumps(value, ensure_ascii=False)


def invalid(path: Path, value: Any, detail: str, hint: str = "") -> FieldError:
    """The value is wrong."""
    return FieldError(path, f"Invalid value: {shown(value)}: {detail}", hint)


def required(path: Path, detail: str = "", hint: str = "") -> FieldError:
    """The value is missing."""
    return FieldError(path, f"Required value: {detail}" if detail else "Required value", hint, key=True)


def forbidden(path: Path, detail: str, hint: str = "") -> FieldError:
    """The field must not be set."""
    return FieldError(path, f"Forbidden: {detail}", hint, key=True)


def not_supported(path: Path, value: Any, supported: Iterable[str], hint: str = "") -> FieldError:
    """The value is none of those that there are."""
    known = ", ".join(f'"{name}"' for name in sorted(supported))
    return FieldError(path, f"Unsupported value: {shown(value)}: supported values: {known}", hint)


def duplicate(path: Path, value: Any, hint: str = "") -> FieldError:
    """The value is there already."""
    return FieldError(path, f"Duplicate value: {shown(value)}", hint)


def too_many(path: Path, actual: int, most: int) -> FieldError:
    """The list is too long."""
    return FieldError(
        path, f"Too many: {actual}: must have at most {most} item{'s' if most != 1 else ''}", key=True
    )


def refusal(kind: str, name: str, errors: Iterable[FieldError]) -> str:
    """The API server's answer with status 422; "" without errors (apimachinery/pkg/api/errors NewInvalid)."""
    texts = [str(error) for error in errors]
    if not texts:
        return ""
    listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    return f'{kind} "{name}" is invalid: {listed}'
