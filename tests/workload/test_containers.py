"""Applications that take a while to start up: signals before and after they have begun."""

import pytest

from netsim.engine import MS, Engine
from netsim.workload.containers import LateApp


class Server:
    """Writes down what is done to it."""

    def __init__(self) -> None:
        self.life: list[tuple[str, int]] = []

    def exited(self, code: int, now: int) -> None:
        self.life.append((f"exit {code}", now))

    def start(self, now: int) -> None:
        self.life.append(("start", now))

    def hang(self, now: int) -> None:
        self.life.append(("hang", now))

    def resume(self, now: int) -> None:
        self.life.append(("resume", now))

    def terminate(self, now: int) -> None:
        self.life.append(("terminate", now))

    def kill(self, now: int) -> None:
        self.life.append(("kill", now))


@pytest.mark.parametrize(
    ("signals", "life"),
    [
        ([], [("start", 10)]),
        ([("terminate", 15)], [("start", 10), ("terminate", 15)]),
        ([("kill", 15)], [("start", 10), ("kill", 15)]),
        ([("hang", 15), ("resume", 20)], [("start", 10), ("hang", 15), ("resume", 20)]),
        ([("terminate", 5)], [("exit 143", 5)]),
        ([("kill", 5), ("terminate", 6)], [("exit 137", 5)]),
        ([("hang", 5)], []),
        ([("hang", 5), ("resume", 7)], [("start", 10)]),
        ([("hang", 5), ("resume", 20)], [("start", 20)]),
        ([("hang", 5), ("kill", 20), ("resume", 25)], [("exit 137", 20)]),
    ],
)
def test_a_late_start(signals: list[tuple[str, int]], life: list[tuple[str, int]]) -> None:
    engine, server = Engine(1), Server()
    app = LateApp(server, 10 * MS, engine)
    app.start(engine.now)
    for signal, at_ms in signals:
        engine.run(at_ms * MS)
        getattr(app, signal)(engine.now)
    engine.run(50 * MS)
    assert server.life == [(what, at_ms * MS) for what, at_ms in life]


def test_an_application_that_cannot_hang_goes_on() -> None:
    class Deaf:
        def __init__(self) -> None:
            self.started = False
            self.exited = lambda _code, _now: None

        def start(self, now: int) -> None:
            self.started = True

        def terminate(self, now: int) -> None: ...
        def kill(self, now: int) -> None: ...

    engine, deaf = Engine(1), Deaf()
    app = LateApp(deaf, MS, engine)
    app.start(engine.now)
    engine.run(2 * MS)
    app.hang(engine.now)
    app.resume(engine.now)
    assert deaf.started
