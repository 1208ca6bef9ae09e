"""Flags and words of a kubectl command line, as spf13/pflag reads them.

Called by `command`, with the flags of the verb. `-n web`, `-nweb`, `-n=web`, `--namespace web`, `--namespace=web`; bool
flags take a value only behind `=`; everything behind `--` is left alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from netsim.experiment.kubectl.context import KubectlError


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag. `implied` is its value when it is given without one; None: it needs a value."""

    name: str
    short: str = ""
    implied: str | None = None
    help: str = ""


def boolean(name: str, short: str = "", help: str = "") -> Flag:
    """A flag that is true when given."""
    return Flag(name, short, "true", help)


COMMON: Final = (Flag("namespace", "n", help="namespace"), Flag("request-timeout", help="limit of a watch"))


@dataclass(slots=True)
class Given:
    """What was given: words, values of flags in order, and what stood behind `--`."""

    args: list[str] = field(default_factory=list)
    flags: dict[str, list[str]] = field(default_factory=dict)
    rest: list[str] = field(default_factory=list)
    dashed: bool = False  # whether there was a `--`

    def get(self, name: str, default: str = "") -> str:
        """The last value of a flag."""
        return self.flags[name][-1] if name in self.flags else default

    def all(self, name: str) -> list[str]:
        """Every value of a flag, in order."""
        return self.flags.get(name, [])

    def is_set(self, name: str) -> bool:
        """Whether a bool flag is true. Raises KubectlError for a value that is no bool."""
        value = self.get(name, "false")
        if value.lower() not in ("true", "false", "1", "0", "t", "f"):
            raise KubectlError(
                f'error: invalid argument "{value}" for "--{name}" flag: strconv.ParseBool: '
                f'parsing "{value}": invalid syntax'
            )
        return value.lower() in ("true", "1", "t")

    def has(self, name: str) -> bool:
        """Whether a flag was given at all."""
        return name in self.flags


def parse(words: Sequence[str], flags: Iterable[Flag], verb: str) -> Given:
    """Read them. Raises KubectlError in pflag's words."""
    known = {f"--{flag.name}": flag for flag in flags}
    short = {flag.short: flag for flag in known.values() if flag.short}
    given = Given()
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if word == "--":
            given.rest, given.dashed = waiting, True
            break
        if word.startswith("--"):
            _long(word, known, waiting, given, verb)
        elif word.startswith("-") and len(word) > 1:
            _short(word, short, waiting, given, verb)
        else:
            given.args.append(word)
    return given


def _long(word: str, known: dict[str, Flag], waiting: list[str], given: Given, verb: str) -> None:
    name, equals, value = word.partition("=")
    flag = known.get(name)
    if flag is None:
        raise _usage(f"error: unknown flag: {name}", verb)
    if not equals:
        value = _value(flag, waiting, f"error: flag needs an argument: {name}", verb)
    given.flags.setdefault(flag.name, []).append(value)


def _short(word: str, known: dict[str, Flag], waiting: list[str], given: Given, verb: str) -> None:
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        flag = known.get(letter)
        if flag is None:
            raise _usage(f"error: unknown shorthand flag: '{letter}' in {word}", verb)
        if letters.startswith("="):
            value, letters = letters[1:], ""
        elif flag.implied is None and letters:
            value, letters = letters, ""
        else:
            problem = f"error: flag needs an argument: '{letter}' in {word}"
            value = _value(flag, waiting, problem, verb)
        given.flags.setdefault(flag.name, []).append(value)


def _value(flag: Flag, waiting: list[str], problem: str, verb: str) -> str:
    if flag.implied is not None:
        return flag.implied
    if not waiting:
        raise _usage(problem, verb)
    return waiting.pop(0)


def _usage(problem: str, verb: str) -> KubectlError:
    return KubectlError(f"{problem}\nSee 'kubectl {verb} --help' for usage.")
