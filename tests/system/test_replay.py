"""`result.journey(request=...)`: the run is played again, and the request is followed in it."""

from pathlib import Path

import pytest
from systemlab import TOPOLOGIES

from netsim.experiment.api import load
from netsim.experiment.results import Results
from netsim.wire.packet import SYN, TcpSegment

EXPERIMENT = """
apiVersion: netsim/v1
kind: Experiment
metadata: {{name: replayed}}
spec:
  topology: {topology}
  seed: 3
  duration: 6s
  replications: 2
  load:
  - {{name: short, from: {{run: client}}, to: "http://my-nginx/", rate: 40/s, timeout: 1s}}
  - name: kept
    from: {{run: client}}
    to: "http://my-nginx/"
    rate: 10/s
    connections: 2
    keepAlive: true
    timeout: 1s
  faults:
  - {{at: 2s, action: pod-kill, selector: {{run: my-nginx}}, mode: one}}
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    path = tmp_path_factory.mktemp("replay") / "replayed.yaml"
    path.write_text(EXPERIMENT.format(topology=TOPOLOGIES / "my-nginx.yaml"), "utf-8")
    found = load(path).run(jobs=1, progress=lambda _done, _total: None)
    assert isinstance(found, Results)
    return found


def picked(results: Results, query: str, replication: int) -> tuple[int, str, int]:
    table = results.requests
    row = table[table["replication"] == replication].query(query).iloc[3]
    return int(row["request"]), str(row["pod"]), int(row["latency_ns"])


@pytest.mark.parametrize(
    ("query", "replication", "syns", "questions"),
    [
        ("load == 'short' and outcome == 'ok'", 0, 2, 1),
        ("load == 'short' and outcome == 'ok' and t_ns > 3e9", 1, 2, 1),
        ("load == 'short' and outcome == 'refused'", 1, 1, 1),
        ("load == 'kept' and reused", 0, 0, 0),
    ],
)
def test_the_same_request_happens_again(
    results: Results, query: str, replication: int, syns: int, questions: int
) -> None:
    request, pod, latency_ns = picked(results, query, replication)
    told = results.journey(request, replication)
    packets = told.journey.packets
    segments = [p.first.body for p in packets if isinstance(p.first.body, TcpSegment)]
    assert sum(bool(segment.flags & SYN) for segment in segments) == syns
    assert sum(p.first.flow.dport == 53 for p in packets) == questions
    assert all(p.first.at_ns >= told.journey.epoch_ns for p in packets)
    ended = [p.last.at_ns for p in packets if p.last.namespace == "default/client"]
    assert told.journey.epoch_ns + latency_ns in ended
    if pod and "ok" in query:
        assert pod in told.outcome
        assert pod in {p.last.namespace for p in packets}
    assert told.html()


def test_what_cannot_be_followed(results: Results, tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="no request 999999"):
        results.journey(999999)
    folder = results.write(tmp_path / "kept", figures=False)
    with pytest.raises(LookupError, match="run the experiment"):
        Results.read(folder).journey(1)
