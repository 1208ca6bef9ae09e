"""A line of the terminal: commands divided by `;`, `&&`, `||` and `|`, `&` at the end, comments, `<<EOF`.

Called by: `session`. Quotes are those of a shell; variables are left alone (those of a pod belong to its own shell).
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_OPERATORS: Final = (";", "&&", "||", "|", "&", ";;")
_HERE: Final = re.compile(r"<<-?\s*(['\"]?)(\w+)\1\s*$")


class LineError(ValueError):
    """A line that no shell would take."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command, what stood before it (`;`, `&&`, `||`), the filters behind it, and whether it goes on behind."""

    words: tuple[str, ...]
    after: str = ";"
    pipes: tuple[tuple[str, ...], ...] = ()
    behind: bool = False


def here_document(line: str) -> tuple[str, str]:
    """(the line without it, the word that ends it): `kubectl apply -f - <<EOF`; the word is "" without one."""
    found = _HERE.search(line)
    return (line[: found.start()], found[2]) if found else (line, "")


def words_of(line: str) -> list[str]:
    """Words and operators. Raises LineError for a quote that does not end."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError as error:
        raise LineError(f"syntax error: {str(error).lower()}") from None


def commands(line: str) -> list[Command]:
    """The commands of a line. Raises LineError."""
    text = _without_comment(line).strip()
    found: list[Command] = []
    pipeline: list[list[str]] = [[]]
    after = ";"
    for word in [*words_of(text), ";"]:
        if word not in _OPERATORS:
            pipeline[-1].append(word)
            continue
        if word == "|":
            pipeline.append([])
            continue
        if any(pipeline) or word not in (";", "&"):
            found.append(_command(pipeline, after, word))
        pipeline, after = [[]], ";" if word == "&" else word
    return found


def _command(pipeline: Sequence[list[str]], after: str, operator: str) -> Command:
    if not all(pipeline):
        raise LineError(f"syntax error near unexpected token `{operator}'")
    first, *pipes = pipeline
    return Command(tuple(first), after, tuple(map(tuple, pipes)), operator == "&")


def _without_comment(line: str) -> str:
    """Without `# ...`, unless that is in quotes or in a word."""
    quote = ""
    for at, char in enumerate(line):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "#" and (at == 0 or line[at - 1].isspace()):
            return line[:at]
    return line
