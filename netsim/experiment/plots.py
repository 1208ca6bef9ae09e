"""`result.plot`: the figures of a run by name.

Each call returns a new matplotlib figure, which shows itself in notebooks. Called by users and by `Results.write`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from netsim.experiment.analysis import Analysis

if TYPE_CHECKING:
    from netsim.measure.style import Plot


class Plots:
    """Figures of one analysis. A Service may be left out when there is only one, a fault means the first one."""

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis

    def split(self, service: str = "") -> "Plot":
        """Share of connections (and requests) per endpoint, with the band that chance gives."""
        from netsim.measure.figures import split_plot

        return split_plot(self._analysis.load_split(service))

    def failover(self, service: str = "", fault: str = "") -> "Plot":
        """Where the seconds of the outage went, per replication. KeyError when there was no such fault."""
        from netsim.measure.figures import failover_plot

        return failover_plot(self._analysis.failover(service), self._fault(service, fault))

    def outage(self, service: str = "", fault: str = "") -> "Plot":
        """Distribution of the outage over the replications. KeyError when there was no such fault."""
        from netsim.measure.figures import outage_plot

        return outage_plot(self._analysis.failover(service), self._fault(service, fault))

    def timeline(self, service: str = "", replication: int | None = None) -> "Plot":
        """Every request of one replication (default: the first) around its first fault, or of the whole run."""
        from netsim.measure.timeline import timeline_plot

        name = self._analysis.service_asked(service)
        requests, failover = self._analysis.requests, self._analysis.failover(name)
        first = int(requests["replication"].min())
        shown = first if replication is None else replication
        return timeline_plot(requests, failover if failover.faults else None, name, shown)

    def latency(self, service: str = "") -> "Plot":
        """Histogram of latencies with percentiles: of one Service, or of all requests."""
        from netsim.measure.figures import latency_plot

        requests = self._analysis.requests
        if not service:
            return latency_plot(requests)
        name = self._analysis.service_asked(service)
        return latency_plot(requests[requests["service"] == name], f"Latency of {name}")

    def lookups(self) -> "Plot":
        """How long name look-ups take, and the queries that they need, by load. KeyError when there were none."""
        from netsim.measure.figures_lookups import lookup_plot
        from netsim.measure.lookups import lookups_of

        if lookups_of(self._analysis.requests).empty:
            raise KeyError("no load of this run looks names up: write to: dns://NAME")
        return lookup_plot(self._analysis.requests)

    def clients(self) -> "Plot":
        """How long the first fault hurt each client. KeyError when there was no fault."""
        from netsim.measure.figures_hurt import hurt_plot
        from netsim.measure.hurt import hurt_frame

        frame = hurt_frame(self._analysis.requests, self._analysis.events)
        if frame.empty:
            raise KeyError("no fault in this run")
        return hurt_plot({"": frame})

    def all(self) -> "Iterator[tuple[str, Plot]]":
        """(file name without ending, figure) of everything there is to show."""
        if self._analysis.requests.empty:
            return
        yield "latency", self.latency()
        if (self._analysis.requests["queries"] > 0).any():
            yield "lookups", self.lookups()
        if self._analysis.requests["load"].nunique() > 1 and "FaultInjected" in set(
            self._analysis.events["reason"]
        ):
            yield "clients", self.clients()
        for service in self._analysis.services:
            tag = service.replace("/", "-")
            yield f"split-{tag}", self.split(service)
            if service not in self._analysis.asked:
                continue  # behind an ingress controller: its requests are the controller's
            yield f"timeline-{tag}", self.timeline(service)
            for fault in self._analysis.failover(service).faults:
                yield f"failover-{tag}-{fault}", self.failover(service, fault)
                yield f"outage-{tag}-{fault}", self.outage(service, fault)

    def _fault(self, service: str, fault: str) -> str:
        known = self._analysis.failover(service).faults
        chosen = fault or next(iter(known), "")
        if chosen not in known:
            raise KeyError(f"no fault {chosen!r} in this run; there are {', '.join(known) or 'none'}")
        return chosen
