"""Recorder, tables, packet books and fingerprint."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from types import MappingProxyType

import pytest

from netsim.cluster.records import ClusterEvent
from netsim.engine import MS, Engine, S
from netsim.measure.books import PacketBooks
from netsim.measure.collect import Recorder, Recording
from netsim.measure.fingerprint import Fingerprint, fingerprint
from netsim.measure.frames import EVENT_TYPES, REQUEST_TYPES, events_frame, requests_frame
from netsim.workload.records import FaultInjected, RequestDone

REQUEST = RequestDone("default/c", "shop", 1, 1, "default/web", "web", 10 * S, 10 * S + 2 * MS, 10 * S + 3 * MS,
                      10 * S + 9 * MS, "ok", 200, 1, "10.0.0.1:80", "default/web-0", "n1", "", False, "n2")  # fmt: skip


def test_recorder_hears_each_kind_of_record_until_it_stops(engine: Engine) -> None:
    recorder = Recorder(engine.bus, epoch_ns=9 * S)
    event = ClusterEvent(
        8 * S, "kubelet", "PodReady", "Pod", "default", "web-0", "n1", MappingProxyType({"a": "b"})
    )
    fault = FaultInjected(10 * S, "pod-kill-1", "pod-kill", ("default/web-0",))
    for record in (REQUEST, event, fault):
        engine.bus.publish(record)
    recorder.stop()
    engine.bus.publish(REQUEST)
    recording = recorder.recording(3, 20 * S, counters={"x": 1})
    assert recording.requests == (REQUEST,)
    assert recording.faults == (fault,)
    assert recording.events == (replace(event, detail={"a": "b"}),)
    assert pickle.loads(pickle.dumps(recording)) == recording
    assert not engine.bus.topic(RequestDone)


def test_requests_become_rows_with_units_and_relative_times() -> None:
    failed = replace(
        REQUEST, resolved_ns=0, connected_ns=0, connection=0, outcome="dns", status=0, endpoint=""
    )
    frame = requests_frame([Recording(2, 9 * S, 20 * S, (REQUEST, failed), ())], "try")
    assert list(frame.columns) == list(REQUEST_TYPES)
    first = frame.iloc[0]
    assert (first["t_ns"], first["latency_ns"], first["resolve_ns"], first["connect_ns"]) == (
        S,
        9 * MS,
        2 * MS,
        MS,
    )
    assert (first["run"], first["replication"], first["client_node"], first["node"]) == ("try", 2, "n2", "n1")
    assert frame["resolve_ns"].isna().tolist() == [False, True]
    assert frame["connect_ns"].isna().tolist() == [False, True]


def test_events_and_faults_share_a_table_in_order_of_time() -> None:
    late = ClusterEvent(
        10 * S, "kubelet", "ContainerDied", "Pod", "default", "web-0", "n1", {"b": "2", "a": "1"}
    )
    boot = ClusterEvent(1 * S, "kubelet", "PodReady", "Pod", "default", "web-0")
    fault = FaultInjected(
        10 * S, "pod-kill-1", "pod-kill", ("default/web-0",), (), (), ("10.0.0.1",), (), 15 * S
    )
    frame = events_frame([Recording(1, 9 * S, 20 * S, (), (boot, late), (fault,))])
    assert frame["reason"].tolist() == ["PodReady", "FaultInjected", "ContainerDied"]
    assert frame["t_ns"].tolist() == [-8 * S, S, S]
    assert frame["detail"].tolist()[2] == '{"a":"1","b":"2"}'
    assert '"for_ns":"5000000000"' in frame["detail"].tolist()[1]


def test_empty_tables_have_the_same_columns_and_types() -> None:
    full = Recording(1, 0, S, (REQUEST,), (ClusterEvent(1, "a", "b", "c", "d", "e"),))
    assert (requests_frame([]).dtypes == requests_frame([full]).dtypes).all()
    assert (events_frame([]).dtypes == events_frame([full]).dtypes).all()
    assert list(events_frame([]).columns) == list(EVENT_TYPES)


DROPS = {("n1", "PREROUTING", "invalid"): 2, ("n2", "PREROUTING", "invalid"): 1, ("n1", "eth0", "loss"): 1}


@pytest.mark.parametrize(
    ("books", "closes", "text"),
    [
        (PacketBooks(10, 6, DROPS), True, "the books close"),
        (PacketBooks(10, 5, DROPS, in_flight=1, consumed=2, duplicated=2), True, "2 used up in kernels"),
        (PacketBooks(11, 6, DROPS), False, "1 VANISHED"),
        (PacketBooks(9, 6, DROPS), False, "1 CAME FROM NOWHERE"),
    ],
)
def test_books_close_or_say_what_is_missing(books: PacketBooks, closes: bool, text: str) -> None:
    assert books.closes is closes
    assert text in books.line()
    assert PacketBooks.from_dict(books.as_dict()) == books


def test_drops_are_ordered_by_frequency_and_add_up() -> None:
    total = PacketBooks.total([PacketBooks(4, 0, DROPS), PacketBooks(1, 0, {("n3", "eth0", "loss"): 1})])
    assert total.drops_by_reason() == [
        ("invalid", "PREROUTING", 3, ("n1", "n2")),
        ("loss", "eth0", 2, ("n1", "n3")),
    ]
    assert total.closes


class Colour(Enum):
    RED = 1


def test_fingerprint_has_a_canonical_form_for_values_and_refuses_others() -> None:
    one, two = Fingerprint(), Fingerprint()
    one.add("x", {"b": 1, "a": (b"\x01", Colour.RED, None, True)})
    two.add("x", MappingProxyType({"a": [b"\x01", Colour.RED, None, True], "b": 1}))
    assert one.hexdigest() == two.hexdigest() != Fingerprint().hexdigest()
    with pytest.raises(TypeError, match="set has no canonical form"):
        one.add("x", {1, 2})
    with pytest.raises(ValueError, match="Out of range"):
        one.add("x", float("nan"))


def test_fingerprint_sees_every_part_and_not_the_order_of_replications(
    study: Callable[..., Recording],
) -> None:
    a, b = study(replication=1, rate=5), study(replication=2, rate=5)
    base = fingerprint([a, b])
    assert fingerprint([b, a]) == base
    changed = [
        replace(a, epoch_ns=a.epoch_ns + 1),
        replace(a, requests=a.requests[1:]),
        replace(a, requests=(replace(a.requests[0], ended_ns=0), *a.requests[1:])),
        replace(a, events=a.events[:-1]),
        replace(a, faults=()),
        replace(a, counters={"rules": 43}),
        replace(a, books=None),
    ]
    assert len({base, *(fingerprint([other, b]) for other in changed)}) == len(changed) + 1


_PROGRAM = """
from netsim.cluster.records import ClusterEvent
from netsim.measure.collect import Recording
from netsim.measure.fingerprint import fingerprint
detail = {name: name for name in {"alpha", "beta", "gamma", "delta"}}
event = ClusterEvent(1, "c", "r", "k", "ns", "n", "", detail)
print(fingerprint([Recording(1, 0, 1, (), (event,), counters={x: 1 for x in {"p", "q", "r"}})]))
"""


def test_fingerprint_does_not_depend_on_the_hash_seed() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert len(found) == 1
