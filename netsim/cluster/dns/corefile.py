"""Reading a Corefile: text -> server blocks with their directives (no meaning yet; that is `build`).

Called by `build`. Source: CoreDNS's corefile(5), coredns/caddy caddyfile/lexer.go and parse.go.
Simplified: no environment variables (`{$NAME}`); `import` takes snippets only.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple


class Problem(NamedTuple):
    """Something wrong with a Corefile."""

    line: int
    message: str


class CorefileError(ValueError):
    """A Corefile that CoreDNS would not start with; `problems` has all of them, by line."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems)
        super().__init__("; ".join(f"Corefile:{line}: {message}" for line, message in self.problems))


@dataclass(frozen=True, slots=True)
class Directive:
    """A line of a block: a plugin with its options, or an option of a plugin."""

    line: int
    name: str
    args: tuple[str, ...] = ()
    block: tuple["Directive", ...] = ()


@dataclass(frozen=True, slots=True)
class ServerBlock:
    """A server block: its keys (`.:53`, `example.org`) and its directives."""

    line: int
    keys: tuple[str, ...]
    directives: tuple[Directive, ...]


class _Token(NamedTuple):
    line: int
    text: str
    quoted: bool = False


def parse_corefile(text: str) -> tuple[ServerBlock, ...]:
    """The server blocks of a Corefile. Raises CorefileError."""
    return _Parser(list(_tokens(text))).blocks()


def _tokens(text: str) -> Iterator[_Token]:
    line, at = 1, 0
    while at < len(text):
        char = text[at]
        if char == "\n":
            line += 1
            at += 1
        elif char.isspace():
            at += 1
        elif char == "#":
            at = _end_of_line(text, at)
        elif char == '"':
            word, after = _quoted(text, at, line)
            yield _Token(line, word, True)
            line += text.count("\n", at, after)
            at = after
        else:
            start = at
            while at < len(text) and not text[at].isspace():
                at += 1
            yield _Token(line, text[start:at])


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _quoted(text: str, at: int, line: int) -> tuple[str, int]:
    word = ""
    at += 1
    while at < len(text) and text[at] != '"':
        if text.startswith('\\"', at):
            at += 1
        word += text[at]
        at += 1
    if at >= len(text):
        raise CorefileError([Problem(line, "a quote is not closed")])
    return word, at + 1


@dataclass(slots=True)
class _Parser:
    """Recursive descent over the tokens; what belongs to a line is told by the tokens' line numbers."""

    tokens: list[_Token]
    at: int = 0
    snippets: dict[str, tuple[Directive, ...]] = field(default_factory=dict)

    def blocks(self) -> tuple[ServerBlock, ...]:
        found = []
        while self.at < len(self.tokens):
            block = self._server_block()
            if block is not None:
                found.append(block)
        return tuple(found)

    def _server_block(self) -> ServerBlock | None:
        line = self.tokens[self.at].line
        keys = []
        while self.at < len(self.tokens) and not self._is("{"):
            keys += [key for key in self.tokens[self.at].text.split(",") if key]
            self.at += 1
        if not keys:
            raise CorefileError([Problem(line, "a server block needs a zone before its {")])
        if self.at >= len(self.tokens):
            raise CorefileError([Problem(line, f"no {{ after {' '.join(keys)}")])
        directives = self._block(line)
        if len(keys) == 1 and keys[0].startswith("(") and keys[0].endswith(")"):
            self.snippets[keys[0][1:-1]] = directives
            return None
        return ServerBlock(line, tuple(keys), directives)

    def _block(self, line: int) -> tuple[Directive, ...]:
        """The directives between { and }; the current token is the {."""
        self.at += 1
        found: list[Directive] = []
        while self.at < len(self.tokens):
            if self._is("}"):
                self.at += 1
                return tuple(found)
            found += self._directive()
        raise CorefileError([Problem(line, "a { is not closed")])

    def _directive(self) -> tuple[Directive, ...]:
        head = self.tokens[self.at]
        self.at += 1
        args: list[str] = []
        block: tuple[Directive, ...] = ()
        while self.at < len(self.tokens) and self.tokens[self.at].line == head.line and not self._is("}"):
            if self._is("{"):
                block = self._block(head.line)
                break
            args.append(self.tokens[self.at].text)
            self.at += 1
        if head.text == "import":
            return self._imported(head.line, args)
        return (Directive(head.line, head.text, tuple(args), block),)

    def _imported(self, line: int, args: list[str]) -> tuple[Directive, ...]:
        if len(args) != 1 or args[0] not in self.snippets:
            known = ", ".join(self.snippets) or "none"
            raise CorefileError(
                [Problem(line, f"import: no snippet {' '.join(args)!r} (defined before: {known})")]
            )
        return self.snippets[args[0]]

    def _is(self, text: str) -> bool:
        token = self.tokens[self.at]
        return token.text == text and not token.quoted
