"""Figures: drawn without pyplot, the same twice, and with what they have to say in them."""

import sys
from collections.abc import Callable

import matplotlib as mpl
import pytest

from netsim.measure.collect import Recording
from netsim.measure.failover import failover_tables
from netsim.measure.figures import failover_plot, latency_plot, outage_plot, split_plot
from netsim.measure.frames import events_frame, requests_frame
from netsim.measure.split import load_split
from netsim.measure.style import SERIES, STAGE_LOOK, Plot
from netsim.measure.summary import Failover
from netsim.measure.timeline import timeline_plot

Make = Callable[..., Recording]
FAULT = "pod-hang-1"


def drawn(*recordings: Recording) -> dict[str, Plot]:
    requests, events = requests_frame(recordings), events_frame(recordings)
    failover = Failover("default/my-nginx", *failover_tables(requests, events))
    plots = {
        "split": split_plot(load_split(requests, events, "my-nginx")),
        "latency": latency_plot(requests),
        "timeline": timeline_plot(requests, failover if failover.faults else None, "my-nginx", 1),
    }
    if failover.faults:
        plots |= {"failover": failover_plot(failover, FAULT), "outage": outage_plot(failover, FAULT)}
    return plots


def words(plot: Plot) -> str:
    from matplotlib.text import Text

    return " | ".join(t.get_text() for t in plot.findobj(Text) if isinstance(t, Text))


def test_all_figures_of_a_study(twenty: tuple[Recording, ...]) -> None:
    before = dict(mpl.rcParams)
    plots = drawn(*twenty)
    for plot in plots.values():
        assert plot.png().startswith(b"\x89PNG")
    assert dict(mpl.rcParams) == before
    assert "cause (endpoints changed)" in words(plots["split"])
    assert "detect 7" in words(plots["failover"])
    assert "95% CI" in words(plots["failover"])
    assert words(plots["outage"]).count("95% CI") == 2  # of the median and of the mean
    assert "rules everywhere" in words(plots["timeline"])
    assert "p99" in words(plots["latency"])
    assert repr(plots["latency"]) == "<Plot: Latency>"


@pytest.mark.parametrize(
    "settings",
    [
        {"rate": 20},
        {"rate": 20, "faulty": False},
        {"rate": 100, "faulty": False, "per_connection": 100},
        {"rate": 1, "duration": 10**9, "faulty": False},
    ],
)
def test_figures_of_single_runs(study: Make, settings: dict[str, int]) -> None:
    for plot in drawn(study(**settings)).values():
        assert plot._repr_png_().startswith(b"\x89PNG")


def test_the_same_figure_has_the_same_bytes(study: Make) -> None:
    first, second = (drawn(study(rate=20)) for _ in range(2))
    assert first["failover"].png() == second["failover"].png()
    assert first["split"].svg() == second["split"].svg()
    assert b"<svg" in first["split"].svg()


def test_a_dense_timeline_is_drawn_in_order_of_time(study: Make) -> None:
    plot = drawn(study(rate=100, faulty=False))["timeline"]
    assert plot.axes[0].collections
    assert "6,000 requests shown" in words(plot)


def test_nothing_to_draw_is_drawn_too(study: Make) -> None:
    assert latency_plot(requests_frame([])).png()


def test_colours_are_distinct_and_no_pyplot_is_needed() -> None:
    assert len(set(SERIES)) == len(SERIES)
    assert len(set(STAGE_LOOK.values())) == len(STAGE_LOOK)
    import subprocess

    program = "import sys, netsim.measure.figures, netsim.measure.timeline; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
