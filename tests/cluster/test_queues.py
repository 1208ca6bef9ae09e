"""Rate limits, work queues, clients: how work is held up."""

import itertools
from collections.abc import Generator
from typing import Any

import pytest

from netsim.cluster.apiserver import ApiServer
from netsim.cluster.client import ApiClient, Connection
from netsim.cluster.controllers.expectations import Expectations
from netsim.cluster.delays import Constant
from netsim.cluster.errors import ApiError, NotFoundError
from netsim.cluster.objects import ConfigMap, ObjectMeta
from netsim.cluster.ratelimit import TokenBucket
from netsim.cluster.timing import ApiTiming, Timing
from netsim.cluster.workqueue import RetryError, WorkQueue
from netsim.engine import MS, Engine, S


# -------------------------------------------------------------------------------------------------- token bucket
def test_reserve_spreads_what_exceeds_the_burst() -> None:
    bucket = TokenBucket(20.0, 30)
    waits = [bucket.reserve(0) for _ in range(40)]
    assert waits[:30] == [0] * 30
    assert waits[30:] == [pytest.approx(50 * MS * n, abs=10) for n in range(1, 11)]


def test_try_accept_takes_what_is_there() -> None:
    bucket = TokenBucket(0.1, 1)
    times = [0, 1 * S, 9 * S, 10 * S, 19 * S, 20 * S]
    assert [bucket.try_accept(at) for at in times] == [True, False, False, True, False, True]


def test_a_rate_of_zero_stops() -> None:
    bucket = TokenBucket(0.1, 1)
    bucket.set_qps(0.0, 0)
    assert [bucket.try_accept(at) for at in (0, 100 * S)] == [True, False]


# -------------------------------------------------------------------------------------------------- work queue
class Work:
    """Notes when each key is worked on; a run takes 10 ms."""

    def __init__(self, engine: Engine, workers: int = 2) -> None:
        self.engine = engine
        self.began: list[tuple[int, str]] = []
        self.fails = 0
        self.queue: WorkQueue[str] = WorkQueue(engine, "test", self.sync, workers, 1 * S, 4 * S)

    def sync(self, key: str) -> Generator[Any, Any, None]:
        self.began.append((self.engine.now // MS, key))
        yield self.engine.timeout(10 * MS)
        if self.fails:
            self.fails -= 1
            raise RetryError(key)


def test_repeats_are_merged_and_workers_are_limited(engine: Engine) -> None:
    work = Work(engine)
    for key in ("a", "a", "b", "c", "a"):
        work.queue.add(key)
    engine.run(1 * S)
    # "a" is being worked on when it is added again, so it has another turn after "c".
    assert work.began == [(0, "a"), (0, "b"), (10, "c"), (10, "a")]
    assert work.queue.idle


def test_a_key_is_never_worked_on_twice_at_once(engine: Engine) -> None:
    work = Work(engine)
    work.queue.add("a")
    engine.run(5 * MS)
    work.queue.add("a")
    work.queue.add("a")
    engine.run(1 * S)
    assert work.began == [(0, "a"), (10, "a")]


def test_failures_back_off_and_success_forgets(engine: Engine) -> None:
    work = Work(engine)
    work.fails = 4
    work.queue.add("a")
    engine.run(60 * S)
    starts = [at for at, _ in work.began]
    assert [b - a for a, b in itertools.pairwise(starts)] == [1010, 2010, 4010, 4010]
    work.fails = 1
    work.queue.add_after("a", 2 * S)
    engine.run(120 * S)
    assert [at for at, _ in work.began][5:] == [62000, 63010]


# -------------------------------------------------------------------------------------------------- client
def quick(engine: Engine) -> tuple[ApiServer, Timing]:
    timing = Timing.for_version().with_parts(api=ApiTiming(write=Constant(10 * MS), watch=Constant(5 * MS)))
    return ApiServer(engine, timing), timing


def config(name: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"))


def test_requests_take_time_and_are_throttled(engine: Engine) -> None:
    api, timing = quick(engine)
    client = ApiClient(engine, api, timing, "test", TokenBucket(10.0, 2))
    done: list[int] = []
    for number in range(4):
        client.submit(
            lambda n=number: api.create(config(str(n))), lambda made, error: done.append(engine.now // MS)
        )  # type: ignore[misc]
    engine.run(1 * S)
    assert done == [10, 10, 110, 210]


def test_errors_are_answers(engine: Engine) -> None:
    api, timing = quick(engine)
    client = ApiClient(engine, api, timing, "test")
    answers: list[object] = []
    client.submit(
        lambda: api.delete(ConfigMap, "default", "x"), lambda made, error: answers.append(type(error))
    )
    engine.run(1 * S)
    assert answers == [NotFoundError]


def test_processes_wait_for_answers(engine: Engine) -> None:
    api, timing = quick(engine)
    client = ApiClient(engine, api, timing, "test")
    story: list[object] = []

    def process() -> Generator[Any, Any, None]:
        made = yield from client.call(lambda: api.create(config("a")))
        story.append((engine.now // MS, made.metadata.name))
        answers = yield from client.gather([lambda: api.create(config("a")), lambda: api.create(config("b"))])
        story.append([isinstance(answer, ApiError) for answer in answers])
        nothing = yield from client.gather([])
        story.append(nothing)

    engine.process(process())
    engine.run(1 * S)
    assert story == [(10, "a"), [True, False], []]


def test_a_cut_connection_holds_requests_and_a_dead_one_forgets_them(engine: Engine) -> None:
    api, timing = quick(engine)
    connection = Connection()
    client = ApiClient(engine, api, timing, "test", connection=connection)
    connection.cut()
    client.submit(lambda: api.create(config("a")))
    engine.process(client.call(lambda: api.create(config("b"))))
    engine.run(5 * S)
    assert api.list(ConfigMap) == []
    connection.restore()
    engine.run(6 * S)
    assert sorted(item.metadata.name for item in api.list(ConfigMap)) == ["a", "b"]
    client.submit(lambda: api.create(config("c")))
    connection.die()
    engine.run(7 * S)
    assert api.get(ConfigMap, "default", "c") is None


# -------------------------------------------------------------------------------------------------- expectations
def test_expectations() -> None:
    key, expected = ("default", "web"), Expectations()
    assert expected.satisfied(key, 0)
    expected.expect_creations(key, 2, 0)
    expected.created(key)
    assert not expected.satisfied(key, 1 * S)
    expected.created(key)
    assert expected.satisfied(key, 1 * S)
    expected.expect_deletions(key, [("default", "a")], 1 * S)
    expected.deleted(key, ("default", "b"))
    assert not expected.satisfied(key, 2 * S)
    assert expected.satisfied(key, 302 * S)  # five minutes are enough
    expected.deleted(key, ("default", "a"))
    assert expected.satisfied(key, 2 * S)
    expected.forget(key)
    assert expected.satisfied(key, 3 * S)
