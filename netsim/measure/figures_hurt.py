"""How long each client was hurt, as bars over a logarithmic scale: one group per load, one bar per variant.

Called by `experiment.comparison` and `result.plot.clients()`. Returns a new `Plot`; nothing is shown or saved here.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from netsim.measure.style import GREY, SERIES, Plot, look, thin, titled
from netsim.measure.summary import seconds

_LEAST_NS: Final = 1e6  # a bar that begins at a millisecond: whoever was hurt less was not hurt
_HATCHES: Final = ("", "///", "...", "xxx")


def hurt_plot(frames: Mapping[str, pd.DataFrame]) -> Plot:
    """`frames`: a `hurt.hurt_frame` per variant (with the name "" for a run without variants)."""
    loads = list(dict.fromkeys(load for frame in frames.values() for load in frame["load"]))
    height = 0.8 / len(frames)
    with look():
        plot = Plot(figsize=(7.2, 1.2 + len(loads) * max(0.3, 0.19 * len(frames))), layout="constrained")
        axes = plot.add_subplot()
        for number, (name, frame) in enumerate(frames.items()):
            y = np.arange(len(loads)) + (number - (len(frames) - 1) / 2) * height
            mean = frame.groupby("load")["hurt_ns"].mean().reindex(loads).to_numpy(dtype=float)
            over = frame.groupby("load")["over"].all().reindex(loads, fill_value=True).tolist()
            axes.barh(
                y, np.where(mean > _LEAST_NS, mean - _LEAST_NS, 0.0), left=_LEAST_NS, height=height * 0.9,
                color=SERIES[number % len(SERIES)], hatch=_HATCHES[number % len(_HATCHES)], label=name,
                edgecolor="white", linewidth=0,
            )  # fmt: skip
            for at, value, ended in zip(y, mean, over, strict=True):
                if not np.isnan(value):
                    words = seconds(value) if value > _LEAST_NS else "not hurt"
                    axes.annotate(
                        words if ended else f"over {words}", (max(value, _LEAST_NS), at), xytext=(4, 0),
                        textcoords="offset points", va="center", fontsize=7.5,
                        color="black" if value > _LEAST_NS else GREY,
                    )  # fmt: skip
        longest = max([float(frame["hurt_ns"].max()) for frame in frames.values() if len(frame)], default=0.0)
        axes.set_xscale("log")
        axes.set_xlim(_LEAST_NS, max(longest, 1e9) * 6)
        axes.xaxis.set_major_locator(LogLocator(10, numticks=12))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: seconds(value)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_yticks(np.arange(len(loads)), loads)
        axes.set_ylim(len(loads) - 0.4, -0.6)
        thin(axes, "x")
        titled(axes, "How long each client was hurt", "from the fault to its last failed or late request")
        if len(frames) > 1:
            plot.legend(
                *axes.get_legend_handles_labels(), loc="outside lower center", ncols=min(4, len(frames))
            )
        return plot
