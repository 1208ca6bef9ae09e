"""Figure of name look-ups: which share takes longer than a time, by load, both axes logarithmic.

Called by `result.plot.lookups()`. A lost packet shows as a step at the resolver's time-out (5 s; musl 2.5 s).
"""

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter

from netsim.measure.lookups import SLOW_LOOKUP_NS, lookups_of, queries_label
from netsim.measure.style import DASHES, GREY, SERIES, Plot, canvas, look, thin, titled

_MS: Final = 1e6


def lookup_plot(requests: pd.DataFrame, title: str = "Name look-ups") -> Plot:
    """Complementary distribution of the look-ups' times, a line per load, with the queries that each one needs."""
    found = lookups_of(requests)
    with look():
        plot, axes = canvas(7.2, 3.2 + 0.1 * found["load"].nunique())
        for number, load in enumerate(dict.fromkeys(found["load"])):
            part = found[found["load"] == load]
            took = np.sort(part["latency_ns"].to_numpy(dtype=float)) / _MS
            longer = 1 - np.arange(took.size) / took.size
            colour, style = SERIES[number % len(SERIES)], DASHES[number % len(DASHES)]
            label = queries_label(str(load), part)
            axes.step(took, longer, where="pre", color=colour, linestyle=style, linewidth=1.6, label=label)
        axes.axvline(SLOW_LOOKUP_NS / _MS, color=GREY, linewidth=0.8, linestyle=":")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:g}%"))
        axes.set_xlabel("time until the application knew [ms], logarithmic")
        axes.set_ylabel("look-ups that take longer")
        thin(axes, "y")
        if not found.empty:
            plot.legend(loc="outside lower center", ncols=2, handlelength=3.2)
        titled(axes, title, f"{len(found):,} look-ups, {found['queries'].sum():,} queries")
        return plot
