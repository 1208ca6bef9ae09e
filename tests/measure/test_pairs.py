"""Two experiments metric by metric: pairs, intervals, and the sentence that follows from them."""

import numpy as np
import pandas as pd
import pytest

from netsim.measure.frames import typed
from netsim.measure.metrics import METRICS, USUAL
from netsim.measure.observations import OBSERVATION_TYPES
from netsim.measure.pairs import TYPES, Difference, differences, differences_frame
from netsim.measure.pairs_text import pair_html, pair_lines

S = 1e9


def table(outages: list[float], service: str = "default/web", first: int = 0, **more: float) -> pd.DataFrame:
    """Observations in which only outages (in seconds) and `more` say anything."""
    nothing = dict.fromkeys(OBSERVATION_TYPES, float("nan")) | dict.fromkeys(
        ("requests", "failed", "retried", "faults"), 1
    )
    rows = [
        {
            **nothing,
            "replication": first + i,
            "service": service,
            "recovered": True,
            "outage_ns": outage * S,
            **more,
        }
        for i, outage in enumerate(outages)
    ]
    return typed(rows, OBSERVATION_TYPES)


def noisy(n: int, shift: float, own: float = 0.1, seed: int = 1) -> list[float]:
    """Outages that share most of their chance between A and B, as under common random numbers."""
    common = np.random.default_rng(1).normal(5, 2, n)
    return list(common + shift + np.random.default_rng(seed).normal(0, own, n))


def outage(a: pd.DataFrame, b: pd.DataFrame, paired: bool = True, metric: str = "outage.mean") -> Difference:
    (found,) = differences(a, b, paired, [metric])
    return found


def test_pairs_show_what_two_samples_cannot() -> None:
    a, b = table(noisy(20, 0, seed=2)), table(noisy(20, 0.3, seed=3))
    paired, apart = outage(a, b), outage(a, b, paired=False)
    assert paired.shown
    assert not apart.shown
    assert paired.value == pytest.approx(apart.value)
    assert paired.detectable < 0.15 * S < 0.7 * S < apart.detectable
    assert 0.3 * S in paired.interval


@pytest.mark.parametrize(
    ("shift", "words"),
    [(3.1, r"B recovers 3\.\d+ s later on average \(3\.\d+ s to 3\.\d+ s\); chance does not explain it"),
     (-3.1, r"B recovers 3\.\d+ s sooner on average \(\d\.\d+ s to 3\.\d+ s\); chance does not explain it"),
     (0.0, r"no difference could be shown with 20 replications; four times out of five, one of "
           r"(0\.\d+ s|.*\d ms) would have been")],
)  # fmt: skip
def test_the_sentence(shift: float, words: str) -> None:
    import re

    found = outage(table(noisy(20, 0, seed=2)), table(noisy(20, shift, seed=3)))
    assert re.fullmatch(words, found.sentence("B")), found.sentence("B")


def test_sentences_of_special_cases() -> None:
    same = table([1, 2, 3])
    assert outage(same, same).sentence("B") == "the same in all of 3 replications"
    constant = outage(table([1, 2, 3]), table([2, 3, 4]))
    assert constant.sentence("B") == "B recovers 1.00 s later on average, in all of 3 replications"
    few = outage(same, same.assign(outage_ns=same["outage_ns"] + 1), metric="outage.p95")
    assert few.sentence("B") == "too few replications to tell chance from cause: 72 are needed, there are 3"
    assert not few.shown
    unequal = outage(table([1, 2, 3, 4]), table([1, 3, 2]), paired=False)
    assert "with 4 and 3 replications" in unequal.sentence("B")
    share = differences(table([1], failed_share=0.1), table([1], failed_share=0.1), True, ["errors"])
    assert "2 are needed, there are 1" in share[0].sentence("B")


def test_only_pairs_count() -> None:
    found = outage(table([1, 2, 3, 4]), table([2, 3, 4], first=1))  # replications 1 to 3
    assert found.sizes == (3, 3)
    assert (found.a, found.b) == (3 * S, 3 * S)


def test_what_only_one_has_is_left_out() -> None:
    a, b = table([1, 2]), table([1, 2], service="default/other")
    assert differences(a, b, True, USUAL) == []
    assert [d.metric.name for d in differences(a, a, True, USUAL)] == [
        "outage.mean",
        "outage.p50",
        "outage.p95",
    ]


def test_table_text_and_html() -> None:
    found = differences(table(noisy(80, 0)), table(noisy(80, 1, seed=2), failed_share=0.1), True, USUAL)
    frame = differences_frame(found, "B")
    assert list(frame.columns) == list(TYPES)
    assert list(frame["metric"]) == ["outage.mean", "outage.p50", "outage.p95"]
    assert frame["shown"].all()
    assert (frame["low"] < frame["difference"]).all()
    lines = pair_lines("default/web", found)
    assert lines[0] == "default/web"
    assert lines[2].endswith("*")
    assert all(len(line) <= 100 for line in lines)
    assert "chance does not explain it" in pair_html("default/<web>", found)
    assert "default/&lt;web&gt;" in pair_html("default/<web>", found)


def test_every_metric_is_a_column_and_says_both_ways() -> None:
    for metric in METRICS.values():
        assert metric.column in OBSERVATION_TYPES
        assert metric.more.count("{}") == metric.less.count("{}") == 1
        assert metric.more != metric.less
