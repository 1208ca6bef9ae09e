"""Bytes of a file -> text, or a problem with its position: not there, too big, binary, not UTF-8, control characters.

Called by: `loader`. Nothing here knows YAML.
"""

import re
from pathlib import Path

from netsim.experiment.errors import Problems

# Ten thousand Services with their Deployments are about 8 MB.
MAX_BYTES = 32 * 1024 * 1024

# What YAML 1.2 lets a file contain (production c-printable), without the byte-order mark.
_UNPRINTABLE = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_text(path: Path, name: str, problems: Problems) -> str | None:
    """The file's text, or None after recording why not. `name` is what messages call the file."""
    data = _read_bytes(path, name, problems)
    if data is None:
        return None
    if data.startswith(_UTF16):
        problems.add(name, (1, 1), "(file)", "the file is UTF-16: save it as UTF-8")
        return None
    if b"\0" in data:
        before = data[: data.index(b"\0")]
        problems.add(
            name, _place(before.decode("utf-8", "replace")), "(file)", "a binary file, not YAML text"
        )
        return None
    return _decode(data, name, problems)


def _read_bytes(path: Path, name: str, problems: Problems) -> bytes | None:
    try:
        if path.is_dir():
            reason = "is a folder: name a YAML file in it"
        elif not path.exists():
            reason = "no such file"
        elif not path.is_file():
            reason = "not a regular file"
        else:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
            if len(data) <= MAX_BYTES:
                return data
            reason = f"larger than {MAX_BYTES >> 20} MiB: split it into several files under `manifests:`"
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL byte
        reason = f"cannot be read ({getattr(error, 'strerror', None) or error})"
    problems.add(name, (1, 1), "(file)", reason)
    return None


def _decode(data: bytes, name: str, problems: Problems) -> str | None:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = _place(error.object[: error.start].decode("utf-8", "replace"))
        byte = error.object[error.start]
        problems.add(name, place, "(file)", f"byte 0x{byte:02X} is not UTF-8: save the file as UTF-8")
        return None
    found = _UNPRINTABLE.search(text)
    if found:
        place = _place(text[: found.start()])
        problems.add(name, place, "(file)", f"control character U+{ord(found[0]):04X} is not allowed in YAML")
        return None
    return text


def _place(before: str) -> tuple[int, int]:
    """Line and column after this text."""
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
