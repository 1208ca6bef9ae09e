"""Same spec and seed, same run: whatever the hash seed, the number of processes, and whoever looks on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from systemlab import ROOT, experiment, loaded

from netsim.experiment.cluster import Cluster
from netsim.experiment.loader import load_experiment
from netsim.experiment.play import play
from netsim.experiment.results import Results
from netsim.experiment.run import replication_seed
from netsim.measure.collect import Recording
from netsim.measure.fingerprint import fingerprint

LOAD = (
    '{name: shop, from: {run: client}, to: "http://my-nginx/", rate: 40/s, timeout: 500ms}',
    '{name: kept, from: {run: client}, to: "http://my-nginx/", model: closed, connections: 3, thinkTime: 50ms,'
    " keepAlive: true}",
)
FAULTS = (
    "{at: 1s, action: pod-kill, selector: {run: my-nginx}}",
    '{at: 2s, for: 1s, action: link-netem, selector: {node: "worker-1"}, loss: 20%, duplicate: 20%, delay: 5ms,'
    " jitter: 4ms}",
    "{at: 3s, action: pod-delete, selector: {run: my-nginx}, gracePeriod: 1s}",
    "{at: 4s, action: node-crash, selector: {run: my-nginx}}",
)


def _netsim(*arguments: str | Path, hash_seed: int) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "netsim", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, env=environment, cwd=ROOT / "tests",
        preexec_fn=_heed_ctrl_c if os.name == "posix" else None,  # noqa: PLW1509 - no threads here
    )  # fmt: skip


def _heed_ctrl_c() -> None:
    """What runs in a shell's background ignores Ctrl-C, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("short")
    return experiment(folder, "failover", LOAD, FAULTS, duration="6s", seed="11", replications="2")


@pytest.fixture(scope="module")
def results(short: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The result folders of the same command under different hash seeds, and numbers of processes."""
    folder = tmp_path_factory.mktemp("results")
    runs = {
        seed: _netsim(
            "run", short, "--jobs", str(seed), "--no-figures", "--out", folder / str(seed), hash_seed=seed
        )
        for seed in (1, 2)
    }
    for run in runs.values():
        out, err = run.communicate(timeout=100)
        assert run.returncode == 0, out + err
    return {seed: folder / str(seed) for seed in runs}


@pytest.mark.parametrize("name", ["run.json", "requests.parquet", "events.parquet", "failover.parquet"])
def test_the_hash_seed_and_the_processes_change_no_byte(results: dict[int, Path], name: str) -> None:
    assert (results[1] / name).read_bytes() == (results[2] / name).read_bytes()


def test_the_manifest_holds_the_fingerprint_and_closed_books(results: dict[int, Path]) -> None:
    manifest = json.loads((results[1] / "run.json").read_text(encoding="utf-8"))
    assert len(manifest["fingerprint"]) == 64
    read = Results.read(results[1])
    assert read.fingerprint == manifest["fingerprint"]
    assert len(read.books) == 2
    assert all(books.closes for books in read.books)


@pytest.fixture(scope="module")
def alone(short: Path) -> Recording:
    """The first replication, nobody looking on."""
    return _played(short, 11)


def _played(short: Path, seed: int, look: Callable[[Cluster], object] | None = None) -> Recording:
    """The first replication; `look` is called a hundred times, from its first moments on."""
    bundle = load_experiment(short)
    cluster = Cluster(bundle.topology, replication_seed(seed, 0))

    def progress(_now: int) -> None:
        if look is not None:
            look(cluster)

    return play(cluster, bundle.spec, 0, progress, 100)


def _follow(cluster: Cluster) -> None:
    if not cluster.fabric.router.ns.journeys:
        cluster.follow(lambda _step: None)


def _capture(cluster: Cluster) -> None:
    cluster.capture()


def _tcpdump(cluster: Cluster) -> None:
    if not cluster.fabric.router.ns.rewrite_subscribers:
        cluster.tcpdump()
        cluster.observe()


def _closes(cluster: Cluster) -> None:
    books = cluster.books()
    assert books.closes, books.line()


@pytest.mark.parametrize("look", [_follow, _capture, _tcpdump, _closes])
def test_looking_on_changes_nothing(short: Path, alone: Recording, look: Callable[[Cluster], object]) -> None:
    seen = _played(short, 11, look)
    assert seen.requests == alone.requests
    assert fingerprint([seen]) == fingerprint([alone])


def test_the_first_replication_is_the_single_run(results: dict[int, Path], alone: Recording) -> None:
    read = Results.read(results[1])
    assert (read.requests["replication"] == 0).sum() == len(alone.requests)


def test_another_seed_is_another_run(short: Path, alone: Recording) -> None:
    assert fingerprint([_played(short, 12)]) != fingerprint([alone])


def test_replications_differ_and_stay_when_there_are_more(tmp_path: Path) -> None:
    small = loaded(tmp_path, "failover", LOAD[:1], FAULTS[:1], duration="2s", seed="3")
    two, three = small.run(replications=2, jobs=1), small.run(replications=3, jobs=2)
    assert two.books == three.books[:2]
    assert len(set(map(str, three.books))) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process there")
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupted_run_leaves_nothing(tmp_path: Path, jobs: int) -> None:
    long = experiment(tmp_path, "failover", LOAD, duration="3000s", replications="2")
    target = tmp_path / "results" / "long"
    run = _netsim("run", long, "--jobs", str(jobs), "--out", target, hash_seed=0)
    time.sleep(2.0)  # noqa: TID251 - the other process's wall clock
    assert run.poll() is None
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=30)
    assert (run.returncode, out, err.strip()) == (130, "", "netsim: interrupted")
    assert not target.exists()
    assert not list(tmp_path.glob("results/.*"))
