"""The analysis of a run: splits and failovers of its tables, each computed once and when first asked for.

`Results` has one for the whole run; a check that says `during` gets one for a part of it.
"""

from typing import TYPE_CHECKING

from netsim.measure.events import find_service

if TYPE_CHECKING:
    import pandas as pd

    from netsim.measure.split import LoadSplit
    from netsim.measure.summary import Failover


class Analysis:
    """Requests and events (see `measure.frames`) and what follows from them. `proxied` is what ingress controllers
    asked of endpoints (`measure.proxied`): it counts for load splits, not for failovers."""

    def __init__(
        self, requests: "pd.DataFrame", events: "pd.DataFrame", proxied: "pd.DataFrame | None" = None
    ) -> None:
        self.requests = requests
        self.events = events
        self.proxied = requests.iloc[:0] if proxied is None else proxied
        self._splits: dict[str, LoadSplit] = {}
        self._failovers: dict[str, Failover] = {}
        self._failover: tuple[pd.DataFrame, pd.DataFrame] | None = None
        self._failed: pd.DataFrame | None = None

    @property
    def asked(self) -> tuple[str, ...]:
        """The Services that clients made requests to, sorted."""
        return tuple(sorted(set(self.requests["service"].unique()) - {""}))

    @property
    def services(self) -> tuple[str, ...]:
        """Those, and the ones behind ingress controllers."""
        return tuple(sorted({*self.asked, *self.proxied["service"].unique()} - {""}))

    def service(self, name: str = "") -> str:
        """The full name of a Service; without a name that of the only one. KeyError naming those there are."""
        if not name and len(self.services) == 1:
            return self.services[0]
        return find_service(name, self.services)

    def service_asked(self, name: str = "") -> str:
        """The same among the Services that clients made requests to."""
        if not name and len(self.asked) == 1:
            return self.asked[0]
        return find_service(name, self.asked)

    def load_split(self, service: str = "") -> "LoadSplit":
        """How a Service's load was spread. KeyError for a Service without requests."""
        from netsim.measure.split import load_split

        name = self.service(service)
        if name not in self._splits:
            self._splits[name] = load_split(self._choices(name), self.events, name)
        return self._splits[name]

    def _choices(self, service: str) -> "pd.DataFrame":
        """Requests of clients to a Service, and those that controllers passed on to it."""
        import pandas as pd

        both = [table[table["service"] == service] for table in (self.requests, self.proxied)]
        filled = [table for table in both if not table.empty]
        return pd.concat(filled, ignore_index=True) if len(filled) > 1 else (filled or both)[0]

    @property
    def failover_tables(self) -> "tuple[pd.DataFrame, pd.DataFrame]":
        """All outages, and when each client node's rules changed (see `measure.failover`)."""
        from netsim.measure.failover import failover_tables

        if self._failover is None:
            self._failover = failover_tables(self.requests, self.events)
        return self._failover

    def failover(self, service: str = "") -> "Failover":
        """What the faults did to a Service. KeyError for a Service without requests."""
        from netsim.measure.summary import Failover

        name = self.service_asked(service)
        if name not in self._failovers:
            outages, nodes = self.failover_tables
            mine, by_node = outages[outages["service"] == name], nodes[nodes["service"] == name]
            self._failovers[name] = Failover(
                name, mine.reset_index(drop=True), by_node.reset_index(drop=True)
            )
        return self._failovers[name]

    @property
    def causes(self) -> "pd.DataFrame":
        """Why requests failed, counted (see `measure.causes`)."""
        from netsim.measure.cause_words import causes_frame

        return causes_frame(self.failed_requests)

    @property
    def failed_requests(self) -> "pd.DataFrame":
        """One row per failed request with its cause."""
        from netsim.measure.causes import failed_requests

        if self._failed is None:
            self._failed = failed_requests(self.requests, self.events)
        return self._failed

    def window(self, start_ns: int, end_ns: int) -> "Analysis":
        """The same of the requests that began, and the faults that happened, in a part of the experiment.

        Events before it stay: they tell which endpoints there were.
        """
        r, e, p = self.requests, self.events, self.proxied
        inside = (e["t_ns"] >= start_ns) & (e["t_ns"] < end_ns)
        kept = e[inside | (e["reason"] != "FaultInjected")]
        return Analysis(
            r[(r["t_ns"] >= start_ns) & (r["t_ns"] < end_ns)],
            kept,
            p[(p["t_ns"] >= start_ns) & (p["t_ns"] < end_ns)],
        )
