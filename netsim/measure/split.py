"""The load split of a Service: who got how much, how much that is by chance, and the word "chance" or "cause".

Expected shares are 1/n of the endpoints that the rules of the client's node held when the connection was opened
(kube-proxy's iptables and nftables modes choose uniformly: `statistic mode random`, `numgen random`), so endpoints that
come and go are accounted for. What is tested is connections, since a request on a kept-alive connection makes no new
choice. Three p-values tell three stories:

    pvalue            connections against the expected split: is the choice itself odd?
    request_pvalue    requests as if each had been a choice: does it look odd to somebody who counts requests?
    weighted_pvalue   requests given how many each connection carried: is it odd once keep-alive is accounted for?

Connections whose endpoint is unknown (failed before it could be told) are counted in favour of chance: they are taken
to have gone where connections are missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import commonprefix
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy import stats

from netsim.measure import gof
from netsim.measure.connections import connections_frame, with_periods
from netsim.measure.endpoints import REASONS, EndpointHistory, pods_by_address
from netsim.measure.events import find_service, read_events
from netsim.measure.frames import typed
from netsim.measure.gof import Floats, Segment
from netsim.measure.verdict import Evidence, Verdict, judge

SPLIT_TYPES: Final[Mapping[str, str]] = {
    "endpoint": "str",
    "pod": "str",
    "node": "str",
    "connections": "int64",
    "connection_share": "float64",
    "expected_share": "float64",
    "low": "float64",
    "high": "float64",
    "requests": "int64",
    "request_share": "float64",
    "failed": "int64",
}

CONFIDENCE: Final = 0.95


@dataclass(frozen=True, eq=False)
class LoadSplit:
    """How a Service's connections and requests were spread.

    `table` has a row per endpoint: counts, shares (0 to 1) and the band [low, high] that holds the share of connections
    of one endpoint 95 % of the time under chance. `by_node` is the same per client node, with that node's p-value.
    `unknown` counts connections whose endpoint is not known, `stray` those given to an endpoint that was not in the
    rules. `jain` compares connections with what was expected, so it is 1 for a split exactly as expected.
    """

    service: str
    table: pd.DataFrame
    by_node: pd.DataFrame
    connections: int
    requests: int
    unknown: int
    stray: int
    periods: int
    jain: float
    request_jain: float
    statistic: float
    dof: int
    pvalue: float
    method: str
    request_pvalue: float
    weighted_pvalue: float
    verdict: Verdict

    def share(self, name: str) -> float:
        """Share of the connections that went to a pod, endpoint or address. KeyError for one that is not there."""
        return self._column(name, "connection_share")

    def request_share(self, name: str) -> float:
        """Share of the requests that went to a pod, endpoint or address. KeyError for one that is not there."""
        return self._column(name, "request_share")

    def _column(self, name: str, column: str) -> float:
        t = self.table
        short = t["pod"].str.rsplit("/", n=1).str[-1]
        address = t["endpoint"].str.rsplit(":", n=1).str[0]
        rows = t[(t["pod"] == name) | (short == name) | (t["endpoint"] == name) | (address == name)]
        if rows.empty:
            raise KeyError(f"no endpoint {name!r} of {self.service}; there are {', '.join(t['endpoint'])}")
        return float(rows[column].sum())

    def _repr_html_(self) -> str:
        from netsim.measure.html import split_html

        return split_html(self)


def load_split(requests: pd.DataFrame, events: pd.DataFrame, service: str) -> LoadSplit:
    """The split of one Service over all replications in the tables. KeyError when no request went to the Service."""
    service = find_service(service, requests.loc[requests["service"] != "", "service"].unique())
    histories, pods = _histories(events, service)
    raw = connections_frame(requests[requests["service"] == service])
    connections, sets = with_periods(raw, histories, {address: node for address, (_, node) in pods.items()})
    return _Splitter(service, connections, sets, pods).result()


def balance(requests: pd.DataFrame, events: pd.DataFrame, service: str) -> float:
    """Jain's index of a Service's connections against what the rules would give: `load_split(...).jain` without the
    tests of chance. The arguments are about this Service only."""
    histories, pods = _histories(events, service)
    nodes = {address: node for address, (_, node) in pods.items()}
    connections, sets = with_periods(connections_frame(requests), histories, nodes)
    return _Splitter(service, connections, sets, pods).jain()


def _histories(
    events: pd.DataFrame, service: str
) -> tuple[dict[int, EndpointHistory], dict[str, tuple[str, str]]]:
    read = read_events(events, REASONS)
    pods: dict[str, tuple[str, str]] = {}
    for replication in read.values():
        pods.update(pods_by_address(replication))
    return {number: EndpointHistory(found, service) for number, found in read.items()}, pods


class _Splitter:
    """The arithmetic of one split; endpoints are numbered in order of their addresses' text."""

    def __init__(
        self,
        service: str,
        connections: pd.DataFrame,
        sets: Sequence[tuple[str, ...]],
        pods: Mapping[str, tuple[str, str]],
    ) -> None:
        self.service = service
        self.sets = sets
        self.pods = pods
        self.all = connections
        used = {sets[i] for i in connections["period"].unique()} if len(connections) else set(sets)
        expected = {address for addresses in used for address in addresses}
        self.names = sorted(expected | (set(connections["backend"]) - {""}))
        self.number = {name: i for i, name in enumerate(self.names)}
        choice = connections["period"].map(lambda i: bool(sets[i])).astype(bool) if len(connections) else True
        self.known = connections[(connections["backend"] != "") & ~connections["stray"] & choice]
        self.unknown = connections[(connections["backend"] == "") & choice]

    def result(self) -> LoadSplit:
        split, flat = self.fit(self.known, self.unknown), self.flat_fit()
        naive, weighted = self.request_fits()
        expected = split.expected
        table = self.table(self.all, expected)
        counts = self.counts(self.known)
        requests = self.counts(self.known, "requests")
        evidence = Evidence(
            self.service, table, self.known, self.names, expected, self.probabilities(), len(self.unknown),
            int(self.all["stray"].sum()), split.pvalue, naive.pvalue, weighted.pvalue, flat.pvalue, self.periods(),
        )  # fmt: skip
        return LoadSplit(
            service=self.service,
            table=table,
            by_node=self.by_node(),
            connections=len(self.all),
            requests=int(self.all["requests"].sum()),
            unknown=len(self.unknown),
            stray=evidence.stray,
            periods=evidence.periods,
            jain=gof.jain(_ratio(counts, expected)),
            request_jain=gof.jain(_ratio(requests, expected)),
            statistic=split.statistic,
            dof=split.dof,
            pvalue=split.pvalue,
            method=split.method,
            request_pvalue=naive.pvalue,
            weighted_pvalue=weighted.pvalue,
            verdict=judge(evidence),
        )

    def jain(self) -> float:
        _, segments = self.drawn(self.known, self.unknown)
        return gof.jain(_ratio(self.counts(self.known), gof.expectation(len(self.names), segments)))

    def counts(self, connections: pd.DataFrame, column: str = "") -> Floats:
        weights = connections[column].to_numpy(dtype=float) if column else None
        index = connections["backend"].map(self.number).to_numpy(dtype=np.int64)
        return np.bincount(index, weights, minlength=len(self.names)).astype(np.float64)

    def vector(self, period: int) -> Floats:
        p = np.zeros(len(self.names))
        p[[self.number[a] for a in self.sets[period]]] = 1 / len(self.sets[period])
        return p

    def probabilities(self) -> Floats:
        """The probability of each endpoint (column) for each known connection (row)."""
        vectors = {int(i): self.vector(int(i)) for i in self.known["period"].unique()}
        rows = [vectors[i] for i in self.known["period"].tolist()]
        return np.array(rows) if rows else np.zeros((0, len(self.names)))

    def fit(self, known: pd.DataFrame, unknown: pd.DataFrame, tag: str = "") -> gof.Fit:
        """Connections against their expectation."""
        observed, segments = self.drawn(known, unknown)
        return gof.fit(observed, segments, f"{self.service}/{tag}")

    def request_fits(self) -> tuple[gof.Fit, gof.Fit]:
        """Requests as if each had chosen, and requests given how many each connection carried."""
        observed, weighted = self.drawn(self.known, self.unknown, "requests")
        single = [Segment(s.probability, np.ones(int(s.weights.sum()))) for s in weighted]
        return gof.fit(observed, single, f"{self.service}/single"), gof.fit(
            observed, weighted, f"{self.service}/load"
        )

    def flat_fit(self) -> gof.Fit:
        """As if every endpoint had been there all the time."""
        n = len(self.names)
        segment = Segment(np.full(n, 1 / max(n, 1)), np.ones(len(self.known)))
        return gof.fit(self.counts(self.known), [segment], f"{self.service}/flat")

    def drawn(
        self, known: pd.DataFrame, unknown: pd.DataFrame, weight: str = ""
    ) -> tuple[Floats, list[Segment]]:
        """What was drawn, and from what; draws of unknown endpoint are put where some are missing."""
        observed, segments = np.zeros(len(self.names)), []
        for period in sorted({*known["period"].tolist(), *unknown["period"].tolist()}):
            here, lost, p = (
                known[known["period"] == period],
                unknown[unknown["period"] == period],
                self.vector(period),
            )
            weights = np.concatenate(
                [_weights(here, weight), _weights(lost, weight), np.ones(int(here["lost"].sum()))]
            )
            counts = self.counts(here, weight)
            observed += counts + _benefit_of_doubt(counts, p, float(weights.sum() - counts.sum()))
            segments.append(Segment(p, weights))
        return observed, segments

    def periods(self) -> int:
        """How many different endpoint sets connections met; under policy Local, on one node."""
        local = self.all["policy"] == "Local"
        groups = [self.all[~local], *(part for _, part in self.all[local].groupby("client_node", sort=True))]
        return max(len({self.sets[i] for i in part["period"].unique()}) for part in groups)

    def table(self, connections: pd.DataFrame, expected: Floats) -> pd.DataFrame:
        told = connections[connections["backend"] != ""]
        counts, requests, failed = (
            self.counts(told),
            self.counts(told, "requests"),
            self.counts(told, "failed"),
        )
        draws = expected.sum()
        share = expected / draws if draws else expected
        low, high = _band(share, draws)
        labels = [self.label(name, told) for name in self.names]
        rows = [
            (*labels[i], int(counts[i]), counts[i] / max(1.0, counts.sum()), share[i], low[i], high[i],
             int(requests[i]), requests[i] / max(1.0, requests.sum()), int(failed[i]))
            for i in range(len(self.names))
        ]  # fmt: skip
        return typed(rows, SPLIT_TYPES)

    def label(self, name: str, told: pd.DataFrame) -> tuple[str, str, str]:
        """Endpoint, pod and node of an address; with several holders over the replications `NAME-*`."""
        rows = told[told["backend"] == name]
        endpoints = sorted(set(rows["endpoint"])) or self.idle(name)
        pod, node = self.pods.get(name, ("", ""))
        seen = rows[rows["pod"] != ""]
        if not seen.empty:
            pod, node = _one_name(seen["pod"]), _one_name(seen["node"])
        return endpoints[0] if len(endpoints) == 1 else name, pod, node

    def idle(self, name: str) -> list[str]:
        """An address that got nothing, with the port of the others when they agree on one."""
        ports = {str(endpoint).rsplit(":", 1)[-1] for endpoint in self.all["endpoint"] if endpoint}
        host = f"[{name}]" if ":" in name else name
        return [f"{host}:{port}" for port in ports] if len(ports) == 1 else []

    def by_node(self) -> pd.DataFrame:
        types = {"client_node": "str", **SPLIT_TYPES, "pvalue": "float64"}
        parts = []
        for node in sorted(set(self.all["client_node"])):
            known = self.known[self.known["client_node"] == node]
            unknown = self.unknown[self.unknown["client_node"] == node]
            here = self.fit(known, unknown, node)
            part = self.table(self.all[self.all["client_node"] == node], here.expected)
            parts.append(part.assign(client_node=node, pvalue=here.pvalue)[list(types)])
        return pd.concat(parts, ignore_index=True).astype(types) if parts else typed([], types)


def _one_name(names: "pd.Series[Any]") -> str:
    """The name, or what all names begin with and `*`: pods of one address in several replications."""
    different = sorted(set(names))
    if len(different) == 1:
        return str(different[0])
    return str(commonprefix(different)).rpartition("-")[0] + "-*"  # noqa: RUF071 - names, not paths


def _ratio(values: Floats, expected: Floats) -> Floats:
    present = expected > 0
    return values[present] / expected[present]


def _band(share: Floats, draws: float) -> tuple[Floats, Floats]:
    """The central 95 % of a binomial share; too wide rather than too narrow for unequal draws (Hoeffding 1956)."""
    n = round(draws)
    if not n:
        return np.zeros_like(share), np.ones_like(share)
    low, high = stats.binom.interval(CONFIDENCE, n, share)
    return np.asarray(low, dtype=np.float64) / n, np.asarray(high, dtype=np.float64) / n


def _weights(connections: pd.DataFrame, column: str) -> Floats:
    return connections[column].to_numpy(dtype=np.float64) if column else np.ones(len(connections))


def _benefit_of_doubt(observed: Floats, probability: Floats, unknown: float) -> Floats:
    missing = np.maximum(0.0, (observed.sum() + unknown) * probability - observed)
    return missing * (unknown / missing.sum()) if missing.sum() else probability * unknown
