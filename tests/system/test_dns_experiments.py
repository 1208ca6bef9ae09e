"""The experiments about names, in a short form: what they claim holds, and their figure and table say it."""

from pathlib import Path

import pytest
from systemlab import ROOT, loaded

import netsim
from netsim.experiment.results import Results
from netsim.measure.lookups import SLOW_LOOKUP_NS, lookups_of

LOOKUPS = "{{name: {0}, from: {{run: {1}}}, to: 'dns://{2}', rate: {3}/s}}"


def lookups(result: Results, load: str) -> tuple[float, float]:
    """Queries per look-up, and the share that took 5 s."""
    found = lookups_of(result.requests)
    part = found[found["load"] == load]
    assert len(part) > 10
    return float(part["queries"].mean()), float((part["latency_ns"] >= SLOW_LOOKUP_NS).mean())


@pytest.mark.parametrize(("topology", "queries"), [("dns", 8.0), ("dns-autopath", 2.0)])
def test_ndots_multiplies_queries(tmp_path: Path, topology: str, queries: float) -> None:
    load = [
        LOOKUPS.format("five", "plain", "www.example.com", 20),
        LOOKUPS.format("one", "ndots-1", "www.example.com", 20),
        LOOKUPS.format("dot", "plain", "www.example.com.", 20),
        LOOKUPS.format("a", "plain", "www.example.com.?type=A", 20),
        LOOKUPS.format("musl", "musl", "www.example.com", 20),
    ]
    result = loaded(tmp_path, topology, load, duration="2s").run()
    found = {name: lookups(result, name)[0] for name in ("five", "one", "dot", "a", "musl")}
    assert found == {"five": queries, "one": 2.0, "dot": 2.0, "a": 1.0, "musl": queries}
    assert set(result.requests["outcome"]) <= {"ok", "aborted"}
    text = result.text()
    assert "Look-ups (time until the application knew)" in text
    assert f"{queries:.2f}" in text
    [axes] = result.plot.lookups().axes
    assert f"five: {queries:.2f} queries" in axes.get_legend_handles_labels()[1]


def race(tmp_path: Path, kernel: str = "4.15", window: str = "10us") -> Results:
    """The topology of `dns-5s` at a rate that makes races, for 2 s and the 5 s after them."""
    text = (ROOT / "topologies" / "dns-race.yaml").read_text(encoding="utf-8")
    text = text.replace('kernel: "4.15"', f'kernel: "{kernel}"\n  conntrackRaceWindow: {window}')
    text = text.replace("[manifests/", f"[{(ROOT / 'topologies').as_posix()}/manifests/")
    (tmp_path / "race.yaml").write_text(text, encoding="utf-8")
    loads = [
        f"{{name: {name}, from: {{run: {name}}}, to: 'dns://my-nginx', rate: {rate}/s, for: 1500ms}}"
        for name, rate in (("plain", 2000), ("reopen", 100), ("use-vc", 100), ("local", 100), ("musl", 300))
    ]
    return loaded(tmp_path, str(tmp_path / "race"), loads, duration="7s").run()


def test_five_seconds_and_the_cures(tmp_path: Path) -> None:
    result = race(tmp_path)
    slow = {name: lookups(result, name)[1] for name in ("plain", "reopen", "use-vc", "local", "musl")}
    assert 0.005 < slow["plain"] < 0.06
    assert slow["reopen"] == slow["use-vc"] == slow["local"] == slow["musl"] == 0
    took = result.requests.loc[result.requests["load"] == "musl", "latency_ns"]
    assert 2_500_000_000 <= took.max() < 2_600_000_000
    drops = result.packets.drops_by_reason() if result.packets else []
    assert [(reason, where) for reason, where, *_ in drops] == [("CONNTRACK_INSERT_FAILED", "POSTROUTING")]
    assert "took 5 s" in " ".join(result.plot.lookups().axes[0].get_legend_handles_labels()[1])


@pytest.mark.parametrize(("kernel", "window"), [("6.8", "10us"), ("4.15", "0s")])
def test_nobody_waits_under_a_new_kernel_or_without_a_window(
    tmp_path: Path, kernel: str, window: str
) -> None:
    result = race(tmp_path, kernel, window)
    assert lookups(result, "plain") == (2.0, 0.0)
    assert result.packets is not None
    assert not result.packets.drops_by_reason()


CACHES = ("web", "web-fresh", "web-jvm", "web-forever")


def test_who_remembers_a_name_suffers_longer(tmp_path: Path) -> None:
    """`dns-round-robin` in a fifth of the time: the cache of the JVM is 10 s here."""
    load = [
        f"{{name: {name}, from: {{run: client}}, to: 'http://{name}/', rate: 45/s, timeout: 500ms, dnsCache: {cache}}}"
        for name, cache in zip(CACHES, ("none", "none", "10s", "forever"), strict=True)
    ]
    faults = ["{at: 4s, action: pod-delete, selector: {app: web}, mode: one}"]
    result = loaded(tmp_path, "dns-round-robin", load, faults, duration="18s", seed="3").run()

    def errors(service: str, start_s: int, end_s: int) -> float:
        part = result.analysis.window(start_s * 10**9, end_s * 10**9).requests
        own = part[(part["service"] == f"default/{service}") & (part["outcome"] != "aborted")]
        return float((own["outcome"] != "ok").mean())

    assert [errors(name, 5, 9) > 0.05 for name in CACHES] == [False, False, True, True]
    assert [errors(name, 12, 18) > 0.05 for name in CACHES] == [False, False, False, True]
    assert "rules" not in result.failover("web-forever").sentence("pod-delete-1")


def test_a_coredns_node_dies() -> None:
    """`dns-failover` as shipped: its checks hold."""
    result = netsim.load(ROOT / "experiments" / "dns-failover.yaml").run()
    assert [check.name for check in result.checks if not check.passed] == []
    assert len(result.checks) == 4
