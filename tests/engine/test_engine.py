"""The clock counts whole nanoseconds, streams depend on seed and name only, the bus is a list per record type."""

import os
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import pytest
import simpy

from netsim.engine import MS, Bus, Engine, S


def test_the_clock_stays_an_integer(engine: Engine) -> None:
    seen = []

    def process() -> Generator[Any, Any, None]:
        for _ in range(3):
            yield engine.timeout(333_333_333)
            seen.append(engine.now)
            seen.append(engine.env.now)

    engine.process(process(), "counter")
    engine.call_later(1, lambda: seen.append(engine.now))
    engine.run(S)
    assert seen == [1, 333_333_333, 333_333_333, 666_666_666, 666_666_666, 999_999_999, 999_999_999]
    assert {type(moment) for moment in seen} == {int}
    assert engine.now == S
    assert type(engine.now) is int


def test_a_long_run_loses_no_nanosecond(engine: Engine) -> None:
    """A float would, from 104 days on."""
    year = 365 * 24 * 3600 * S
    at = []
    engine.call_at(year + 1, lambda: at.append(engine.now))
    engine.run(year + 2)
    assert at == [year + 1]


def test_run_stops_before_its_end_and_goes_on(engine: Engine) -> None:
    calls = []
    for at in (5, 10, 15):
        engine.call_at(at, calls.append, at)
    engine.run(10)
    assert calls == [5]
    assert engine.now == 10
    engine.run(16)
    assert calls == [5, 10, 15]


def test_env_is_a_genuine_simpy_environment(engine: Engine) -> None:
    assert isinstance(engine.env, simpy.Environment)
    done = []

    def visitor(env: simpy.Environment) -> Generator[Any, Any, None]:
        store = simpy.Store(env)
        yield store.put("thing")
        yield env.timeout(7) | env.timeout(9)
        done.append((env.now, (yield store.get())))

    process = engine.env.process(visitor(engine.env))
    engine.run(100)
    assert done == [(7, "thing")]
    assert not process.is_alive


def test_processes_have_names(engine: Engine) -> None:
    def sleep() -> Generator[Any, Any, None]:
        yield engine.timeout(5)

    assert engine.process(sleep(), "kubelet/n1").name == "kubelet/n1"
    assert engine.process(sleep()).name == "sleep"


def test_events_wake_processes(engine: Engine) -> None:
    event, got = engine.event(), []

    def waiter() -> Generator[Any, Any, None]:
        got.append(((yield event), engine.now))

    engine.process(waiter())
    engine.call_later(3 * MS, event.succeed, "value")
    engine.run(S)
    assert got == [("value", 3 * MS)]


def test_same_moment_in_the_order_of_asking(engine: Engine) -> None:
    calls: list[int] = []
    for index in range(20):
        engine.call_at(100, calls.append, index)
    engine.run(101)
    assert calls == list(range(20))


def test_calls_at_the_very_start(engine: Engine) -> None:
    calls = []
    engine.call_later(0, lambda: calls.append(engine.now))
    engine.run(10)
    assert calls == [1]


def test_calls_now_while_running(engine: Engine) -> None:
    calls = []
    engine.call_at(50, lambda: engine.call_later(0, lambda: calls.append(engine.now)))
    engine.run(60)
    assert calls == [50]


def test_the_past_is_refused(engine: Engine) -> None:
    engine.run(100)
    with pytest.raises(ValueError, match="cannot call at 99 ns: it is already 100 ns"):
        engine.call_at(99, print)
    with pytest.raises(ValueError, match="cannot call at"):
        engine.call_later(-1, print)


# ---------------------------------------------------------------- streams
def draws(engine: Engine, *names: str) -> dict[str, list[float]]:
    return {name: [engine.stream(name).random() for _ in range(5)] for name in names}


def test_streams_do_not_depend_on_the_order_of_asking() -> None:
    assert draws(Engine(7), "a", "b", "c") == draws(Engine(7), "c", "a", "b")


def test_adding_an_entity_shifts_nobody() -> None:
    with_more = draws(Engine(7), "a", "new", "b")
    assert draws(Engine(7), "a", "b") == {name: with_more[name] for name in ("a", "b")}


def test_seed_and_name_both_matter() -> None:
    streams = [
        Engine(seed).stream(name).random() for seed in (1, 2, -1, 10**30) for name in ("a", "b", "a/b", "")
    ]
    assert len(set(streams)) == len(streams)


def test_the_same_name_is_the_same_object(engine: Engine) -> None:
    assert engine.stream("x") is engine.stream("x")


def test_streams_are_the_same_in_every_process() -> None:
    """Whatever PYTHONHASHSEED, and for ever: the figure is a golden value."""
    code = "from netsim.engine import Engine; print(Engine(7).stream('link/n1:eth0').getrandbits(64))"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("0", "1", "4242")
    }
    assert found == {str(Engine(7).stream("link/n1:eth0").getrandbits(64))}
    assert found == {"14486571220284053745"}


# ---------------------------------------------------------------- bus
@dataclass(frozen=True)
class Happened:
    at_ns: int


@dataclass(frozen=True)
class HappenedToo(Happened):
    pass


def test_records_reach_the_subscribers_of_their_very_type() -> None:
    bus, plain, derived = Bus(), [], []
    bus.subscribe(Happened, plain.append)
    bus.subscribe(HappenedToo, derived.append)
    bus.publish(Happened(1))
    bus.publish(HappenedToo(2))
    assert plain == [Happened(1)]
    assert derived == [HappenedToo(2)]


def test_subscribers_hear_in_the_order_of_subscribing() -> None:
    bus, heard = Bus(), []
    for name in "abc":
        bus.subscribe(Happened, lambda record, name=name: heard.append(name))
    bus.publish(Happened(1))
    assert heard == ["a", "b", "c"]


def test_a_topic_is_one_list_for_ever() -> None:
    bus, heard = Bus(), []
    topic = bus.topic(Happened)
    assert not topic
    stop = bus.subscribe(Happened, heard.append)
    assert topic is bus.topic(Happened)
    assert topic
    stop()
    assert not topic
    bus.publish(Happened(1))
    assert heard == []
