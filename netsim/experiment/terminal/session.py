"""One user at one cluster: runs a line, keeps what goes on behind it, and knows the exit code.

    session = Session(cluster, out, err)
    session.boot()
    session.run("kubectl get pods; run 5s")

Called by: `netsim shell`, tests. Errors are told as the tools tell them; what a user types never raises, except that
`exit` raises Leave.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from netsim.experiment.kubectl import command as kubectl
from netsim.experiment.kubectl.arguments import parse
from netsim.experiment.kubectl.context import Context, Interrupted, KubectlError
from netsim.experiment.kubectl.events import EventLog
from netsim.experiment.kubectl.verbs_exec import run_in
from netsim.experiment.spec_names import did_you_mean
from netsim.experiment.terminal import times
from netsim.experiment.terminal.faults import Faults
from netsim.experiment.terminal.guide import guide
from netsim.experiment.terminal.line import Command, LineError, commands
from netsim.experiment.terminal.loads import Loads
from netsim.experiment.terminal.tcpdump import Tcpdump, parse_options
from netsim.experiment.terminal.tools import TOOLS

if TYPE_CHECKING:
    from netsim.experiment.cluster import Cluster

NOT_FOUND: Final = 127
INTERRUPTED: Final = 130
SYNTAX: Final = 2
_FILTERS: Final = ("grep", "head", "tail", "sort", "uniq", "wc", "cat")


class Leave(Exception):
    """The user wants to go; `code` is the exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(slots=True)
class Session:
    """A cluster, where to write, and the state of the user: node, background jobs, loads, last exit code."""

    cluster: "Cluster"
    out: Callable[[str], object]
    err: Callable[[str], object]
    interrupted: Callable[[], bool] = lambda: False
    stdin: Callable[[], str] | None = None
    code: int = 0
    node: str = ""
    jobs: dict[int, Tcpdump] = field(default_factory=dict)
    context: Context = field(init=False)
    _faults: Faults = field(init=False)
    _loads: Loads = field(init=False)

    def __post_init__(self) -> None:
        cluster = self.cluster
        log = EventLog(cluster.engine, cluster.api)
        self.context = Context(cluster, log, self._say, self._complain, interrupted=self._is_interrupted)
        if self.stdin is not None:
            self.context.stdin = self.stdin
        self.context.ticks.append(self._tick)
        self._faults, self._loads = Faults(cluster), Loads(cluster)
        entries = cluster.spec.node_entries()
        workers = [entry.name for entry in entries if entry.role == "worker"]
        self.node = (workers or [entry.name for entry in entries])[0]

    def boot(self) -> None:
        """Let the cluster come up. Raises LookupError when it does not."""
        self.cluster.settle()

    @property
    def prompt(self) -> str:
        """`my-nginx 12.5s> `"""
        return f"{self.cluster.topology.name} {times.moment(self.context)}> "

    # ------------------------------------------------------------------ writing
    def _say(self, text: str) -> None:
        self.out(text)

    def _complain(self, text: str) -> None:
        self.err(text)

    def _is_interrupted(self) -> bool:
        return self.interrupted()

    def _tick(self) -> None:
        for job in list(self.jobs.values()):
            job.look()
        for number in [number for number, job in self.jobs.items() if job.done]:
            self.jobs.pop(number).stop()

    # ------------------------------------------------------------------ running
    def run(self, line: str, stdin: str | None = None) -> int:
        """All commands of a line; the last one's exit code. Raises Leave."""
        if stdin is not None:
            self.context.stdin = lambda: stdin
        try:
            found = commands(line)
        except LineError as error:
            self.err(f"{error}\n")
            self.code = SYNTAX
            return self.code
        for one in found:
            if (one.after == "&&" and self.code) or (one.after == "||" and not self.code):
                continue
            self.code = self._guarded(one)
            if self.code == INTERRUPTED:
                break
        return self.code

    def _guarded(self, one: Command) -> int:
        """One command; whatever goes wrong is a message and an exit code."""
        try:
            code = self._piped(one) if one.pipes else self._command(one)
        except Interrupted:
            self.err("^C\n")
            return INTERRUPTED
        except KubectlError as error:
            self.err(f"{error}\n")
            return error.code
        except (LookupError, ValueError) as error:
            self.err(f"{one.words[0]}: {error.args[0] if error.args else error}\n")
            return 1
        finally:
            self._tick()
        return code

    def _piped(self, one: Command) -> int:
        """The output of a command through grep and the like; the last one's exit code, as in a shell."""
        from netsim.experiment.exec import machine
        from netsim.workload.commands.call import Call
        from netsim.workload.commands.shell import COMMANDS

        unknown = next((words[0] for words in one.pipes if words[0] not in _FILTERS), "")
        if unknown:
            self.err(f"{unknown}: cannot stand behind a pipe here (known: {', '.join(_FILTERS)})\n")
            return NOT_FOUND
        taken: list[str] = []
        self.context.out = taken.append
        try:
            self._command(Command(one.words, one.after))
        finally:
            self.context.out = self._say
        text, code = "".join(taken), 0
        host = machine(self.cluster, self.cluster.fabric.nodes[self.node])
        for words in one.pipes:
            call = Call(host, list(words), text)
            result = COMMANDS[words[0]](call) if words[0] != "cat" or len(words) > 1 else 0
            text = "".join(call.stdout) if words != ("cat",) else text
            self.err("".join(call.stderr))
            code = result if isinstance(result, int) else 0
        self.out(text)
        return code

    def _command(self, one: Command) -> int:
        name, *args = one.words
        if one.behind and name != "tcpdump":
            raise KubectlError(f"{name}: only tcpdump goes on behind other commands (&)")
        if name == "tcpdump":
            return self._tcpdump(args, one.behind)
        if name in ("kubectl", "k"):
            return kubectl.run(self.context, args)
        if name in TOOLS:
            return self._tool(name, args)
        builtin = _BUILTINS.get(name)
        if builtin is not None:
            return builtin(self, args)
        known = did_you_mean(name, (*names(), *kubectl.VERBS))
        hint = f" (did you mean `kubectl {name}`?)" if name in kubectl.VERBS else known
        raise KubectlError(f"{name}: command not found{hint}; `help` lists what there is", NOT_FOUND)

    # ------------------------------------------------------------------ nodes
    def _tool(self, name: str, args: Sequence[str]) -> int:
        """On the node in use, or on the one that is the last word."""
        node, words = self.node, list(args)
        if words and words[-1] in self.cluster.fabric.nodes:
            node = words.pop()
        return TOOLS[name](self.context, self.cluster.fabric.nodes[node].ns, words)

    def _use(self, args: Sequence[str]) -> int:
        nodes = self.cluster.fabric.nodes
        if len(args) != 1 or args[0] not in nodes:
            raise KubectlError(f"use: which node? ({', '.join(nodes)}; now: {self.node})")
        self.node = args[0]
        return 0

    def _ssh(self, args: Sequence[str]) -> int:
        """A command on another host: a node's tool, or anything that runs in a pod too."""
        words = [word for word in args if word not in ("--", "-it", "-i", "-t")]
        if len(words) < 2:
            raise KubectlError(
                "ssh: write `ssh NODE COMMAND`, for example `ssh worker-1 iptables-save -t nat`"
            )
        where, name, *rest = words
        if where in self.cluster.fabric.nodes and name in TOOLS:
            return TOOLS[name](self.context, self.cluster.fabric.nodes[where].ns, rest)
        kind = "node" if where in self.cluster.fabric.nodes else "external"
        return run_in(self.context, f"{kind}/{where}", [name, *rest])

    # ------------------------------------------------------------------ tcpdump
    def _tcpdump(self, args: Sequence[str], behind: bool) -> int:
        options = parse_options(args)
        node = options.node or self.node
        if options.words and options.words[-1] in self.cluster.fabric.nodes and len(options.words) % 2 == 1:
            node = options.words.pop()
        job = Tcpdump(self.context, options, node)
        if behind:
            number = 1 + max(self.jobs, default=0)
            self.jobs[number] = job
            self.out(f"[{number}] tcpdump -i {options.interface}\n")
            return 0
        self.context.ticks.append(job.look)
        try:
            self.context.wait(lambda: job.done, options.for_ns)
        finally:
            self.context.ticks.remove(job.look)
            job.stop()
        return 0

    def _jobs(self, _args: Sequence[str]) -> int:
        for number, job in self.jobs.items():
            self.out(f"[{number}] running  tcpdump ({job.captured} packets)\n")
        return 0

    def _kill(self, args: Sequence[str]) -> int:
        wanted = [arg.removeprefix("%") for arg in args] or [str(number) for number in self.jobs]
        for text in wanted:
            job = self.jobs.pop(int(text), None) if text.isdigit() else None
            if job is None:
                raise KubectlError(f"kill: {text}: no such job (`jobs` lists them)")
            job.stop()
        return 0

    # ------------------------------------------------------------------ the rest
    def _explain(self, args: Sequence[str]) -> int:
        from netsim.experiment.kubectl.arguments import Flag, boolean

        flags = (Flag("from"), Flag("to"), Flag("header", "H"), boolean("arp"), Flag("output", "o"))
        given = parse(args, flags, "explain")
        if not given.get("from") or not given.get("to"):
            raise KubectlError("explain: write `explain --from pod/NAME --to http://SERVICE/`")
        headers = {}
        for header in given.all("header"):
            name, _, value = header.partition(":")
            headers[name.strip()] = value.strip()
        found = self.cluster.explain(
            given.get("from"), given.get("to"), arp=given.is_set("arp"), headers=headers
        )
        self.context.out(found.journey.mermaid() if given.get("output") == "mermaid" else found.text())
        return 0

    def _books(self, _args: Sequence[str]) -> int:
        self.context.out(f"{self.cluster.books().line()}\n")
        return 0

    def _echo(self, args: Sequence[str]) -> int:
        self.context.out(f"{' '.join(args)}\n")
        return 0

    def _help(self, args: Sequence[str]) -> int:
        if args[:1] == ["kubectl"] or (args and args[0] in kubectl.VERBS):
            self.out(kubectl.help_text(args[-1]))
        else:
            self.out(guide(args[0] if args else ""))
        return 0

    def _leave(self, args: Sequence[str]) -> int:
        raise Leave(int(args[0]) if args and args[0].isdigit() else self.code)


_BUILTINS: Final[Mapping[str, Callable[[Session, Sequence[str]], int]]] = {
    "books": Session._books,
    "docker": lambda session, args: session._ssh(args[1:] if args[:1] == ["exec"] else args),
    "echo": Session._echo,
    "exit": Session._leave,
    "explain": Session._explain,
    "fault": lambda session, args: session._faults.inject(session.context, args),
    "help": Session._help,
    "jobs": Session._jobs,
    "kill": Session._kill,
    "load": lambda session, args: session._loads.command(session.context, args),
    "quit": Session._leave,
    "run": lambda session, args: times.run(session.context, args),
    "ssh": Session._ssh,
    "time": lambda session, args: times.time(session.context, args),
    "until": lambda session, args: times.until(session.context, args),
    "use": Session._use,
}


def names() -> tuple[str, ...]:
    """The first words that there are."""
    return tuple(sorted((*_BUILTINS, *TOOLS, "kubectl", "tcpdump")))
