"""A command line in a pod: words, quotes, variables, pipes, `;`, `&&`, `||`, `sh -c`; and the commands there are.

    execution = run(Machine(host, resolver, image, env), "nslookup my-nginx | grep Address")
    engine.run(...)                      # until execution.done, or execution.interrupt() after a while
    execution.stdout, execution.code

Called by `Cluster.exec` and `netsim exec`. A command that waits is a SimPy process, so time passes for everybody.
Simplified: no globs, no loops, no files but those that are there; output can be thrown away (`>/dev/null`, `2>&1`).
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from netsim.workload.commands import dig, fetch, local, names, reach
from netsim.workload.commands.call import INTERRUPTED, Call, Machine, Steps

Command = Callable[[Call], "int | Steps"]

NOT_FOUND: Final = 127
SYNTAX: Final = 2
_OPERATORS: Final = (";", "&&", "||", "|")
_REDIRECTIONS: Final = ("2>&1", ">&2", "1>&2", "2>/dev/null", ">/dev/null", "1>/dev/null", "&>/dev/null")


class CommandLineError(ValueError):
    """A command line that a shell would refuse; the message says why."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word as typed; `literal` (single quotes) keeps its dollar signs."""

    parts: tuple[tuple[str, bool], ...]  # text, whether variables are replaced in it

    def expanded(self, env: dict[str, str]) -> str:
        """The word with variables replaced; unknown ones are empty."""
        return "".join(_expanded(text, env) if replaced else text for text, replaced in self.parts)


def split(line: str) -> list[Word | str]:
    """Words and operators of a line. Raises CommandLineError for a quote that does not end."""
    found: list[Word | str] = []
    parts: list[tuple[str, bool]] = []
    quoted = False
    at = 0

    def end() -> None:
        nonlocal quoted
        if parts or quoted:
            found.append(Word(tuple(parts)))
        parts.clear()
        quoted = False

    while at < len(line):
        char = line[at]
        if char in "'\"":
            close = line.find(char, at + 1)
            if close < 0:
                raise CommandLineError("unterminated quoted string")
            parts.append((line[at + 1 : close], char == '"'))
            quoted = True
            at = close + 1
        elif char == "\\" and at + 1 < len(line):
            parts.append((line[at + 1], False))
            at += 2
        elif operator := next((o for o in ("&&", "||", ";", "|", "\n") if line.startswith(o, at)), ""):
            end()
            found.append(";" if operator == "\n" else operator)
            at += len(operator)
        elif char.isspace():
            end()
            at += 1
        else:
            parts.append((char, True))
            at += 1
    end()
    return found


def _expanded(text: str, env: dict[str, str]) -> str:
    out, at = "", 0
    while at < len(text):
        if text[at] != "$":
            out, at = out + text[at], at + 1
            continue
        braced = text[at + 1 : at + 2] == "{"
        begin = at + 2 if braced else at + 1
        stop = begin
        while stop < len(text) and (text[stop].isalnum() or text[stop] == "_"):
            stop += 1
        name = text[begin:stop]
        out += env.get(name, "") if name else "$"
        at = stop + 1 if braced and text[stop : stop + 1] == "}" else max(stop, at + 1)
    return out


def _merged(word: Word) -> Word:
    """Neighbouring parts of one kind as one, so that `$NAME` typed letter by letter is whole again."""
    parts: list[tuple[str, bool]] = []
    for text, replaced in word.parts:
        if parts and parts[-1][1] == replaced:
            parts[-1] = (parts[-1][0] + text, replaced)
        else:
            parts.append((text, replaced))
    return Word(tuple(parts))


def pipelines(line: str) -> Iterator[tuple[str, list[list[Word]]]]:
    """(operator before it, commands joined by pipes) of a line, in order. Raises CommandLineError."""
    operator = ";"
    commands: list[list[Word]] = []
    words: list[Word] = []
    for token in [*split(line), ";"]:
        if isinstance(token, Word):
            words.append(_merged(token))
            continue
        if words:
            commands.append(words)
        elif commands or token != ";" or operator != ";":
            raise CommandLineError(f"syntax error: unexpected {token!r}")
        words = []
        if token == "|":
            continue
        if commands:
            yield operator, commands
        operator, commands = token, []


# ---------------------------------------------------------------------- running
def sh(call: Call) -> Steps:
    """sh -c 'COMMAND LINE'"""
    if "-c" not in call.args[:-1]:
        return call.fail(f"{call.name}: only {call.name} -c 'COMMAND' is simulated", SYNTAX)
    return (yield from run_line(call, call.args[call.args.index("-c") + 1]))


def run_line(call: Call, line: str) -> Steps:
    """All pipelines of a line, one after the other; output goes to `call`."""
    code = 0
    try:
        parsed = list(pipelines(line))
    except CommandLineError as error:
        return call.fail(f"sh: {error}", SYNTAX)
    for operator, commands in parsed:
        if (operator == "&&" and code) or (operator == "||" and not code):
            continue
        code = yield from _pipeline(call, commands)
    return code


def _pipeline(call: Call, commands: list[list[Word]]) -> Steps:
    """Commands joined by pipes. Each reads what the one before has written when that has ended."""
    env, stdin, code = dict(call.machine.env), call.stdin, 0
    for number, words in enumerate(commands):
        texts = [word.expanded(env) for word in words]
        redirected = [text for text in texts if text in _REDIRECTIONS]
        one = Call(call.machine, [text for text in texts if text not in _REDIRECTIONS] or ["true"], stdin)
        call.running = one
        code = yield from _execute(one)
        call.running = None
        stdout, stderr = "".join(one.stdout), "".join(one.stderr)
        if "2>&1" in redirected:
            stdout, stderr = stdout + stderr, ""
        if any(word in redirected for word in (">/dev/null", "1>/dev/null", "&>/dev/null")):
            stdout = ""
        if "2>/dev/null" in redirected or "&>/dev/null" in redirected:
            stderr = ""
        call.err(stderr)
        stdin = stdout
        if number + 1 == len(commands):
            call.out(stdout)
    return code


def _execute(call: Call) -> Steps:
    command = COMMANDS.get(call.name.removeprefix("/bin/").removeprefix("/usr/bin/"))
    if command is None:
        return call.fail(f"sh: {call.name}: not found (simulated: {', '.join(sorted(COMMANDS))})", NOT_FOUND)
    result = command(call)
    if isinstance(result, Generator):
        return (yield from result)
    return result


COMMANDS: Final[dict[str, Command]] = {
    "ash": sh, "bash": sh, "cat": local.cat, "curl": fetch.curl, "dig": dig.dig, "echo": local.echo,
    "env": local.env, "false": local.false, "getent": names.getent, "grep": local.grep, "head": local.head,
    "host": names.host, "hostname": local.hostname, "ip": local.ip_command, "nc": reach.nc,
    "nslookup": names.nslookup, "ping": reach.ping, "printenv": local.printenv, "sh": sh,
    "sleep": local.sleep, "sort": local.sort, "tail": local.tail, "true": local.true, "uniq": local.uniq,
    "wc": local.wc, "wget": fetch.wget,
}  # fmt: skip


@dataclass(slots=True)
class Execution:
    """A command line that runs, or has run. `code` is None until then."""

    call: Call
    code: int | None = None
    _ended: list[int] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.code is not None

    @property
    def stdout(self) -> str:
        """What it has written so far."""
        return "".join(self.call.stdout)

    @property
    def stderr(self) -> str:
        """What it has said so far."""
        return "".join(self.call.stderr)

    def interrupt(self) -> None:
        """Ctrl-C: it says what it has to say, and ends."""
        if self.code is None:
            self.call.interrupt()
            self.code = INTERRUPTED


def run(machine: Machine, line: "str | list[str]") -> Execution:
    """Begin a command line, or a command given as its words (kubectl exec's way: nothing is expanded)."""
    call = Call(machine, ["sh"])
    execution = Execution(call)
    if isinstance(line, str):
        steps = run_line(call, line)
    else:
        steps = _pipeline(call, [[Word(((word, False),)) for word in line]])

    def process() -> Generator[Any, Any, None]:
        code = yield from steps
        if execution.code is None:
            execution.code = code

    machine.host.engine.process(process(), f"exec on {machine.host.name}")
    return execution
