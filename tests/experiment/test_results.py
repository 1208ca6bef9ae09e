"""Results: from recordings to a folder and back, all or nothing."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from netsim.cluster.records import ClusterEvent
from netsim.engine import MS, S
from netsim.experiment.checks import compile_check
from netsim.experiment.folder import write_folder
from netsim.experiment.results import Results
from netsim.measure.books import PacketBooks
from netsim.measure.collect import Recording
from netsim.workload.records import FaultInjected, RequestDone

WEB = "default/web"


def recording(replication: int, service: str = WEB) -> Recording:
    """Two pods; the first is dead from 10 s to 12 s; everything else is fine."""
    done = []
    for number in range(1, 201):
        at = number * S // 10 + replication
        dead = number % 2 == 0 and 10 * S <= at < 12 * S
        done.append(
            RequestDone("default/c", "shop", number, number, service, "web", at, at + MS, 0 if dead else at + 2 * MS,
                        at + (500 if dead else 10) * MS, "timeout" if dead else "ok", 0 if dead else 200, 1,
                        f"10.0.0.{number % 2 + 1}:80", f"default/web-{number % 2}", "n1", client_node="n1")
        )  # fmt: skip
    ready = {"service": service, "added": "10.0.0.1,10.0.0.2"}
    event = ClusterEvent(
        1, "endpointslice", "EndpointSliceUpdated", "EndpointSlice", "default", "web-x", "", ready
    )
    fault = FaultInjected(
        10 * S, "pod-hang-1", "pod-hang", ("default/web-0",), (), (), ("10.0.0.1",), (service,)
    )
    books = PacketBooks(100, 90, {("n1", "eth0", "loss"): 10})
    return Recording(replication, 0, 21 * S, tuple(done), (event,), (fault,), books)


def results_of(*recordings: Recording, **more: object) -> Results:
    checks = [
        compile_check("errors < 1%", name="few-errors", points=2, hint="look"),
        compile_check("requests.total > 0"),
    ]
    settings = {
        "name": "pod-hang",
        "spec": {"seed": 7, "load": ["é"]},
        "seed": 7,
        "duration_ns": 21 * S,
        **more,
    }
    return Results.from_recordings(recordings, checks=checks, **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def two() -> Results:
    return results_of(recording(1), recording(0))


def test_recordings_become_results_in_order_of_replication(two: Results) -> None:
    assert two.requests["replication"].unique().tolist() == [0, 1]
    assert two.fingerprint == results_of(recording(0), recording(1)).fingerprint
    assert two.fingerprint != results_of(recording(0), recording(2)).fingerprint
    assert [check.passed for check in two.checks] == [False, True]
    assert not two.passed
    assert two.services == (WEB,)
    assert two.packets == PacketBooks(200, 180, {("n1", "eth0", "loss"): 20})
    assert two.load_split("web").connections == 400
    assert two.failover().table["failed"].tolist() == [10, 10]


def test_write_and_read_back(two: Results, tmp_path: Path) -> None:
    folder = two.write(tmp_path / "out" / "run")
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    assert names == [
        "causes.parquet", "events.parquet", "failover.parquet", "failover_nodes.parquet",
        "figures/failover-default-web-pod-hang-1.png",
        "figures/latency.png", "figures/outage-default-web-pod-hang-1.png", "figures/split-default-web.png",
        "figures/timeline-default-web.png", "requests.parquet", "run.json",
    ]  # fmt: skip
    again = Results.read(folder)
    pd.testing.assert_frame_equal(again.requests, two.requests)
    pd.testing.assert_frame_equal(again.events, two.events)
    assert again.text() == two.text()
    assert again.checks == two.checks
    assert again.manifest() == two.manifest()
    assert (
        pd.read_parquet(folder / "failover.parquet")["outage_ns"].tolist()
        == two.failover().table["outage_ns"].tolist()
    )
    assert [p.name for p in folder.parent.iterdir()] == ["run"]


def test_the_manifest_holds_what_was_run(two: Results, tmp_path: Path) -> None:
    manifest = json.loads((two.write(tmp_path / "r", figures=False) / "run.json").read_text(encoding="utf-8"))
    assert manifest["schemaVersion"] == 1
    assert (manifest["seed"], manifest["replications"], manifest["spec"]["load"]) == (7, 2, ["é"])
    assert manifest["fingerprint"] == two.fingerprint
    assert "pandas" in manifest["versions"]
    assert manifest["packets"][0]["dropped"] == [
        {"node": "n1", "hook": "eth0", "reason": "loss", "packets": 10}
    ]
    assert manifest["checks"][0]["hint"] == "look"


def test_the_same_run_writes_the_same_bytes(tmp_path: Path) -> None:
    first, second = (results_of(recording(0)).write(tmp_path / name, figures=False) for name in "ab")
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes(), path.name


def test_the_warm_up_is_left_out_of_statistics_and_kept_in_the_tables() -> None:
    warm = results_of(recording(0), warmup_ns=5 * S)
    assert len(warm.requests) == 200
    assert warm.load_split().requests == 151
    assert len(warm.analysis.requests) == 151


def test_books_of_one_replication_that_do_not_close_are_shown() -> None:
    bad = [replace(recording(i), books=PacketBooks(100, 90 + i, {})) for i in (9, 11)]
    results = results_of(*bad)
    assert PacketBooks.total(results.books).closes
    assert results.packets == PacketBooks(100, 99, {})
    assert "VANISHED" in results.text()


def test_an_older_result_is_replaced_and_anything_else_is_not(two: Results, tmp_path: Path) -> None:
    target = tmp_path / "r"
    two.write(target, figures=False)
    (target / "old").write_text("x")
    two.write(target, figures=False)
    assert not (target / "old").exists()
    precious = tmp_path / "precious"
    precious.mkdir()
    two.write(precious, figures=False)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("x")
    for path in (foreign, foreign / "thesis.tex"):
        with pytest.raises(FileExistsError, match="no result folder of netsim"):
            two.write(path, figures=False)
    assert (foreign / "thesis.tex").read_text() == "x"


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError, MemoryError])
def test_a_write_that_is_cut_short_leaves_nothing_and_the_old_result(
    failure: type[BaseException], two: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise failure

    two.write(tmp_path / "old", figures=False)
    before = (tmp_path / "old" / "run.json").read_bytes()
    monkeypatch.setattr(Results, "manifest", stop)
    for name in ("old", "new"):
        with pytest.raises(failure):
            two.write(tmp_path / name, figures=False)
    assert [p.name for p in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old" / "run.json").read_bytes() == before


def test_the_old_folder_comes_back_when_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "r"
    write_folder(target, lambda part: (part / "run.json").write_text("old") and None)
    rename = Path.rename

    def refuse(self: Path, to: Path) -> Path:
        if ".part-" in self.name:
            raise PermissionError("somebody has it open")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(PermissionError):
        write_folder(target, lambda part: (part / "run.json").write_text("new") and None)
    assert (target / "run.json").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["r"]


_SLOW = """
import sys, time
from pathlib import Path
from netsim.experiment.folder import write_folder

def fill(part):
    (part / "requests.parquet").write_text("half")
    print("ready", flush=True)
    time.sleep(60)

write_folder(Path(sys.argv[1]), fill)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_in_the_middle_leaves_no_file(tmp_path: Path) -> None:
    target = tmp_path / "out" / "r"
    command = [sys.executable, "-c", _SLOW, str(target)]
    pipe = subprocess.PIPE

    def heed() -> None:  # what runs in a shell's background ignores Ctrl-C, and so would its children
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, preexec_fn=heed) as process:  # noqa: PLW1509 - no threads
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert list(target.parent.iterdir())
        process.send_signal(signal.SIGINT)
        _, talk = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in talk
    assert not list(target.parent.iterdir())


def test_reading_what_is_no_result_says_so(two: Results, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no run\.json"):
        Results.read(tmp_path)
    folder = two.write(tmp_path / "r", figures=False)
    manifest = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    for text, said in (
        ("{", "is damaged"),
        ("[]", "is damaged"),
        (json.dumps(manifest | {"schemaVersion": 99}), "99"),
    ):
        (folder / "run.json").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=said):
            Results.read(folder)


def test_plots_find_what_is_meant(two: Results) -> None:
    plot = two.plot
    for figure in (plot.split(), plot.failover(), plot.outage(), plot.timeline(), plot.latency("web")):
        assert figure.png().startswith(b"\x89PNG")
    assert "Latency of default/web" in repr(plot.latency("web"))
    with pytest.raises(KeyError, match="there are pod-hang-1"):
        two.plot.failover("web", "other")
    with pytest.raises(KeyError, match="there are none"):
        results_of(replace(recording(0), faults=())).plot.outage()
    both = replace(recording(0), requests=(*recording(0).requests, *recording(1, "default/db").requests))
    with pytest.raises(KeyError, match="there are default/db, default/web"):
        results_of(both).plot.split("")


def test_results_show_themselves(two: Results) -> None:
    assert repr(two) == two.text()
    html = two._repr_html_()
    for part in (
        "Load split of default/web",
        "Failover of default/web",
        "few-errors",
        "the books close",
        "<table>",
    ):
        assert part in html
    assert "<script" not in html


def test_a_run_without_anything_can_be_shown_and_kept(tmp_path: Path) -> None:
    empty = Results.from_recordings(
        [Recording(0, 0, S, (), ())], name="empty", spec={}, seed=1, duration_ns=S
    )
    assert empty.passed
    assert "requests: none" in empty.text()
    assert Results.read(empty.write(tmp_path / "r")).text() == empty.text()
    assert "empty" in empty._repr_html_()
