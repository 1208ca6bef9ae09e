"""Sweeps that are run: the same table whatever happens on the way, and only what is missing is done."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import netsim
from netsim.cli.main import main
from netsim.experiment.loader_sweep import load_any, load_sweep
from netsim.experiment.sweep import Sweep, SweepError
from netsim.experiment.sweep_results import SweepResults
from netsim.experiment.sweep_store import Store, write_atomically
from netsim.experiment.sweep_tasks import Outcome, Task
from netsim.experiment.sweep_workers import Workers, can_fork

ROOT = Path(__file__).resolve().parents[2]
SWEEP = """
apiVersion: netsim/v1
kind: Sweep
metadata: {name: replicas}
spec:
  experiment: kill.yaml
  replications: 2
  parameters:
    replicas: "manifests[Deployment/web].spec.replicas"
    mode: cluster.networking.kubeProxyMode
  grid:
    replicas: [1, 3]
    mode: [iptables, ipvs]
    duration: [4s, 5s]
"""
needs_fork = pytest.mark.skipif(not can_fork(), reason="this platform has no fork")


@pytest.fixture(scope="module")
def file(small: Path) -> Path:
    path = small / "sweep.yaml"
    path.write_text(SWEEP, encoding="utf-8")
    return path


def quiet(path: Path, out: Path, **how: Any) -> SweepResults:
    return Sweep(load_sweep(path)).run(out, progress=lambda _done, _total, _share: None, **how)


@pytest.fixture(scope="module")
def done(file: Path) -> Path:
    """The folder of the whole sweep, run in one process."""
    folder = file.parent / "done"
    quiet(file, folder, jobs=1)
    return folder


def table_bytes(folder: Path) -> bytes:
    return (folder / "cells.parquet").read_bytes()


def test_the_table(done: Path) -> None:
    table = pd.read_parquet(done / "cells.parquet")
    assert len(table) == 8 * 2
    assert list(table.columns[:9]) == [
        "cell", "key", "replicas", "mode", "duration_ns", "seed", "replication", "service", "requests",
    ]  # fmt: skip
    assert list(table["duration_ns"].unique()) == [4 * 10**9, 5 * 10**9]
    assert table["cell"].is_monotonic_increasing
    assert (table["outage_ns"] > 0).any()
    one, more = (table[table["replicas"] == n]["failed_share"].mean() for n in (1, 3))
    assert one > 2 * more  # with one replica nobody else answers


def test_a_cell_is_what_the_experiment_would_be_by_itself(file: Path, done: Path) -> None:
    cell = load_sweep(file).cells[0]
    assert dict(cell.values) == {"replicas": 1, "mode": "iptables", "duration": "4s"}
    by_itself = netsim.load(file.parent / "kill.yaml")
    assert by_itself.topology.spec.networking.kubeProxyMode == "iptables"
    text = (
        (file.parent / "kill.yaml")
        .read_text(encoding="utf-8")
        .replace("8s", "4s")
        .replace("topology.yaml", "one.yaml")
    )
    topology = (
        (file.parent / "topology.yaml").read_text(encoding="utf-8").replace("replicas: 3", "replicas: 1")
    )
    (file.parent / "one.yaml").write_text(topology, encoding="utf-8")
    (file.parent / "kill-one.yaml").write_text(text, encoding="utf-8")
    result = netsim.load(file.parent / "kill-one.yaml").run(
        replications=2, progress=lambda _done, _total: None
    )
    assert isinstance(result, netsim.Results)
    own = pd.read_parquet(done / "cells.parquet").query("cell == 0")
    pd.testing.assert_frame_equal(
        own[result.observations.columns].reset_index(drop=True), result.observations
    )


@needs_fork
def test_the_number_of_processes_does_not_show(file: Path, done: Path, tmp_path: Path) -> None:
    results = quiet(file, tmp_path / "two", jobs=2)
    assert table_bytes(tmp_path / "two") == table_bytes(done)
    assert results.fingerprint == SweepResults.read(done).fingerprint


def test_going_on_runs_only_what_is_missing(
    file: Path, done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "half"
    keys = [cell.key for cell in load_sweep(file).cells]
    (folder / "cells").mkdir(parents=True)
    for key in keys[::2]:
        (folder / "cells" / f"{key}.json").write_bytes((done / "cells" / f"{key}.json").read_bytes())
    (folder / "cells" / f"{keys[0]}.json").write_text('{"format": 1, "key"', encoding="utf-8")  # cut off
    (folder / "cells" / f"{keys[1]}.json.part").write_text("cut off", encoding="utf-8")
    ran = counted(monkeypatch)
    quiet(file, folder, jobs=1)
    assert sorted({task.cell for task in ran}) == [0, 1, 3, 5, 7]
    assert table_bytes(folder) == table_bytes(done)
    ran.clear()
    quiet(file, folder, jobs=1)
    assert ran == []
    quiet(file, folder, jobs=1, fresh=True)
    assert len(ran) == 16


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Task]:
    """The tasks that are run in this process from now on."""
    from netsim.experiment import sweep_tasks

    ran: list[Task] = []
    real = sweep_tasks.run_task

    def run(bundles: Any, task: Task, seed: int) -> Outcome:
        ran.append(task)
        return real(bundles, task, seed)

    monkeypatch.setattr(sweep_tasks, "run_task", run)
    return ran


def test_a_changed_sweep_runs_only_what_changed(
    file: Path, done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "changed"
    quiet(file, folder, jobs=1)
    ran = counted(monkeypatch)
    other = file.with_name("other.yaml")
    text = SWEEP.replace("[1, 3]", "[3, 4]").replace("replications: 2", "replications: 3").replace(", 5s", "")
    other.write_text(text, encoding="utf-8")
    quiet(other, folder, jobs=1)
    # Cells 0 and 1 (three replicas) lack their third replication, 2 and 3 (four) everything.
    assert sorted((task.cell, task.replication) for task in ran) == [
        (0, 2), (1, 2), (2, 0), (2, 1), (2, 2), (3, 0), (3, 1), (3, 2),
    ]  # fmt: skip
    assert len(pd.read_parquet(folder / "cells.parquet")) == 4 * 3
    ran.clear()
    quiet(file, folder, jobs=1)  # back again
    assert ran == []
    assert table_bytes(folder) == table_bytes(done)


def test_keys_depend_on_what_matters(file: Path) -> None:
    keys = [cell.key for cell in load_sweep(file).cells]
    assert len(set(keys)) == 8
    renamed = file.with_name("renamed.yaml")
    text = (
        SWEEP.replace("name: replicas}", "name: other}")
        .replace("replicas:", "r:")
        .replace("replications: 2", "replications: 9")
    )
    renamed.write_text(text, encoding="utf-8")
    assert [cell.key for cell in load_sweep(renamed).cells] == keys
    renamed.write_text(SWEEP.replace("replications: 2", "seed: 5"), encoding="utf-8")
    assert not {cell.key for cell in load_sweep(renamed).cells} & set(keys)


@needs_fork
def test_kill_and_start_again(file: Path, done: Path, tmp_path: Path) -> None:
    """SIGKILL in the middle: nothing finished is lost or done twice, no worker stays behind."""
    folder = tmp_path / "killed"
    command = [sys.executable, "-m", "netsim", "sweep", str(file), "--out", str(folder), "--jobs", "2", "-q"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        pause = threading.Event()
        while process.poll() is None and len(list(folder.glob("cells/*.json"))) < 2:
            pause.wait(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    kept = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.glob("cells/*.json")}
    assert 2 <= len(kept) < 8
    assert not (folder / "cells.parquet").exists()
    with pytest.raises(ValueError, match="not finished: run it again to go on"):
        SweepResults.read(folder)
    # The lock is free at once: nobody who still runs holds it.
    again = subprocess.run(command, env=environment, capture_output=True, check=False, text=True, timeout=120)
    assert (again.returncode, again.stderr) == (0, "")
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in kept} == kept
    assert table_bytes(folder) == table_bytes(done)


def test_dask_gives_the_same(file: Path, done: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    command = [sys.executable, "-m", "netsim", "sweep", str(file), "--out", str(tmp_path / "dask"), "-q"]
    command += ["--executor", "dask", "--jobs", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, env=environment, capture_output=True, check=False, text=True, timeout=300)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert table_bytes(tmp_path / "dask") == table_bytes(done)


def test_without_dask_it_says_what_to_install(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    code = main(["sweep", str(file), "--out", str(tmp_path / "x"), "-q", "--executor", "dask"])
    assert (code, capsys.readouterr()) == (
        2,
        ("", "netsim sweep: Dask is not installed: pip install 'k8s-netsim[dask]'\n"),
    )


def test_without_xarray_it_says_what_to_install(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xarray", None)
    monkeypatch.delitem(sys.modules, "netsim.experiment.sweep_array", raising=False)
    with pytest.raises(SweepError, match=r"pip install 'k8s-netsim\[xarray\]'"):
        SweepResults.read(done).dataset()


def test_the_array(file: Path, done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    xarray = pytest.importorskip("xarray")
    assert main(["sweep", str(file), "--out", str(done), "-q", "--xarray"]) == 0
    capsys.readouterr()
    table = pd.read_parquet(done / "cells.parquet")
    with xarray.open_dataset(done / "cells.nc", engine="scipy") as array:
        assert dict(array.sizes) == {
            "replicas": 2,
            "mode": 2,
            "duration_ns": 2,
            "replication": 2,
            "service": 1,
        }
        chosen = array["outage_ns"].sel(replicas=3, duration_ns=5e9, replication=1).isel(service=0, mode=1)
        row = table.query(
            "replicas == 3 and mode == 'ipvs' and duration_ns == 5_000_000_000 and replication == 1"
        )
        assert float(chosen) == row["outage_ns"].item()
        assert array["replicas"].attrs["fields"] == "manifests[Deployment/web].spec.replicas"


def test_an_array_of_what_is_no_grid(file: Path, tmp_path: Path) -> None:
    pytest.importorskip("xarray")
    path = file.with_name("rows.yaml")
    rows = "  list:\n  - {replicas: 1, mode: ipvs}\n  - {replicas: 2, mode: ipvs}\n  - {replicas: 2, mode: iptables}\n"
    path.write_text(SWEEP.replace(SWEEP[SWEEP.index("  grid:") :], rows), encoding="utf-8")
    array = quiet(path, tmp_path / "rows", jobs=1).dataset()
    assert dict(array.sizes) == {"cell": 3, "replication": 2, "service": 1}
    assert array["replicas"].dims == ("cell",)


def test_what_is_printed_and_drawn(file: Path, done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", str(file), "--out", str(done)]) == 0
    out, err = capsys.readouterr()
    assert err == f"results in {done}/\n"
    assert out.startswith("replicas: 8 cells over replicas, mode, duration, 16 replications in all, seed 4, ")
    assert "Cells: default/web" in out
    assert all(len(line) <= 100 for line in out.splitlines())
    results = SweepResults.read(done)
    assert results.metrics == ("outage.mean", "errors")
    assert len(results.summary) == 8 * 2
    assert (done / "figures" / "outage.mean-default-web.png").stat().st_size > 10_000
    assert "<table>" in results._repr_html_()
    assert results.plot("latency.p99").axes
    with pytest.raises(KeyError):
        results.plot("latency.p98")


def test_cells_that_fail_are_named_and_the_others_kept(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from netsim.experiment import run

    real = run.run_replication

    def sometimes(bundle: Any, seed: int, replication: int, progress: Any) -> Any:
        if bundle.spec.duration_ns == 5 * 10**9 and replication == 1:
            raise LookupError("it does not settle")
        return real(bundle, seed, replication, progress)

    monkeypatch.setattr(run, "run_replication", sometimes)
    folder = tmp_path / "failed"
    assert main(["sweep", str(file), "--out", str(folder), "-q", "--jobs", "1"]) == 1
    assert "cell 1 failed: LookupError: it does not settle" in capsys.readouterr().out
    assert set(pd.read_parquet(folder / "cells.parquet")["cell"]) == {0, 2, 4, 6}
    assert set(SweepResults.read(folder).failed) == {1, 3, 5, 7}
    monkeypatch.undo()
    assert main(["sweep", str(file), "--out", str(folder), "-q", "--jobs", "1"]) == 0
    capsys.readouterr()
    assert len(SweepResults.read(folder).table) == 16


@needs_fork
def test_a_worker_that_dies_is_noticed(file: Path) -> None:
    bundles = [cell.bundle for cell in load_sweep(file).cells]
    workers = Workers(bundles, 1, 1)
    try:
        workers.submit(Task(3, 1))
        (process,) = workers._pipes.values()
        process.kill()
        with pytest.raises(
            SweepError, match=r"by signal 9; is memory short\? while it ran cell 3, replication 1"
        ):
            workers.next()
    finally:
        workers.close()


def test_only_one_sweep_at_a_time_and_only_into_its_own_folder(tmp_path: Path, file: Path) -> None:
    store = Store(tmp_path / "a")
    with pytest.raises(SweepError, match="another sweep writes into"):
        Store(tmp_path / "a")
    store.close()
    Store(tmp_path / "a").close()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.tex").write_text("", encoding="utf-8")
    with pytest.raises(FileExistsError, match="holds no sweep"):
        Store(tmp_path / "b")
    assert main(["sweep", str(file), "--out", str(tmp_path / "b"), "-q"]) == 2


def test_writing_is_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_atomically(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"


def test_a_stop_rule_holds_for_each_cell(file: Path, tmp_path: Path) -> None:
    path = file.with_name("until.yaml")
    text = SWEEP.replace(
        "  replications: 2\n", "  set: {until: {metric: latency.mean, halfWidth: 15%, min: 2, max: 8}}\n"
    )
    path.write_text(text.replace(", 5s", ""), encoding="utf-8")
    one = quiet(path, tmp_path / "one", jobs=1)
    quiet(path, tmp_path / "two", jobs=2)
    assert table_bytes(tmp_path / "one") == table_bytes(tmp_path / "two")
    counts = one.table.groupby("cell")["replication"].nunique()
    assert counts.min() >= 2
    assert counts.nunique() > 1


def test_validate_knows_sweeps(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(file)]) == 0
    assert "sweep replicas: 8 cells over replicas, mode, duration; cluster small: " in capsys.readouterr().out
    assert main(["validate", str(file), "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)["files"][0]
    assert (found["kind"], found["sweep"]["cells"]) == ("Sweep", 8)
    assert main(["run", str(file)]) == 2
    assert "a Sweep cannot be here: run it with `netsim sweep`" in capsys.readouterr().err


def test_the_shipped_sweep_has_200_cells_that_load() -> None:
    bundle = load_any(ROOT / "experiments" / "sweep-readiness.yaml")
    assert not isinstance(bundle, netsim.Results)
    assert len(load_sweep(ROOT / "experiments" / "sweep-readiness.yaml").cells) >= 200
