"""`load start KEY=VALUE...`, `load stop [NAME]`, `load`: clients that ask while time passes.

    load start from=run=client to=http://my-nginx/ rate=50/s

Called by: `session`. The fields are those of an experiment's `load:`; at the end a line says how it went.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from netsim.experiment.kubectl.context import Context, KubectlError
from netsim.experiment.play import start_loads
from netsim.experiment.spec_experiment import Load
from netsim.workload.records import RequestDone

if TYPE_CHECKING:
    from netsim.experiment.cluster import Cluster
    from netsim.workload.load import LoadGenerator
    from netsim.workload.load_lookups import LookupGenerator


@dataclass(slots=True)
class _Running:
    load: Load
    generators: "list[LoadGenerator | LookupGenerator]"
    outcomes: Counter[str] = field(default_factory=Counter)
    pods: Counter[str] = field(default_factory=Counter)


class Loads:
    """The loads of one cluster, by name."""

    def __init__(self, cluster: "Cluster") -> None:
        self._cluster = cluster
        self._running: dict[str, _Running] = {}
        self._number = 0
        cluster.engine.bus.subscribe(RequestDone, self._done)

    def _done(self, record: RequestDone) -> None:
        running = self._running.get(record.load)
        if running is not None:
            running.outcomes[record.outcome] += 1
            if record.pod and record.outcome == "ok":
                running.pods[record.pod] += 1

    def command(self, context: Context, args: Sequence[str]) -> int:
        """load [start ... | stop [NAME]]"""
        action, rest = (args[0], list(args[1:])) if args else ("", [])
        if action == "start":
            return self._start(context, rest)
        if action == "stop":
            return self._stop(context, rest)
        if action:
            raise KubectlError(
                "load: write `load start from=run=client to=http://NAME/ rate=50/s`, `load stop`, `load`"
            )
        for name in self._running:
            context.out(f"{self._line(name)}\n")
        if not self._running:
            context.err("No loads.\n")
        return 0

    def _start(self, context: Context, words: list[str]) -> int:
        self._number += 1
        raw: dict[str, Any] = {"name": f"load-{self._number}", "model": "open"}
        for word in words:
            key, equals, value = word.removeprefix("--").partition("=")
            if not equals:
                raise KubectlError(f'load: "{word}" is no KEY=VALUE (write for example rate=50/s)')
            raw[key] = _value(key, value)
        raw.setdefault("rate", "10/s")
        try:
            load = Load.model_validate(raw)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise KubectlError(f"load: {where}: {first['msg'].removeprefix('Value error, ')}") from None
        if load.name in self._running:
            raise KubectlError(f'load: there is a load called "{load.name}" already')
        try:
            generators = start_loads(self._cluster, (load,), context.now)
        except LookupError as error:
            raise KubectlError(f"load: {error.args[0]}") from None
        self._running[load.name] = _Running(load, generators)
        context.out(f"{load.name}: {load.from_} asks {load.to}, {raw['rate']}\n")
        return 0

    def _stop(self, context: Context, names: list[str]) -> int:
        for name in names or list(self._running):
            running = self._running.get(name)
            if running is None:
                raise KubectlError(f'load: there is no load called "{name}"')
            for generator in running.generators:
                generator.stop(context.now)
            context.out(f"{self._line(name)}\n")
            del self._running[name]
        return 0

    def _line(self, name: str) -> str:
        """`load-1: 500 requests, 498 ok, 2 refused; my-nginx-...-9x4lb 251, ...`"""
        running = self._running[name]
        outcomes = [
            (k, n)
            for k, n in sorted(running.outcomes.items(), key=lambda e: (e[0] != "ok", e[0]))
            if k != "aborted"
        ]
        total = sum(number for _, number in outcomes)
        text = f"{name}: {total} requests" + "".join(f", {number} {outcome}" for outcome, number in outcomes)
        pods = ", ".join(f"{pod.rpartition('/')[2]} {number}" for pod, number in sorted(running.pods.items()))
        return f"{text}; {pods}" if pods else text


def _value(key: str, value: str) -> Any:
    if key == "from":
        if "=" not in value:
            return {"pod": value.removeprefix("pod/")}
        return dict(part.split("=", 1) for part in value.split(",") if "=" in part)
    if key == "keepAlive":
        return value.lower() == "true"
    return int(value) if value.isdigit() and key in ("connections", "retries") else value
