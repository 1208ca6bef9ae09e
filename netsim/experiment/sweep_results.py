"""The results of a sweep: one table, its summary and figures, and the folder that keeps them.

Made by `sweep`, read back by `SweepResults.read`. A folder holds

    run.json         what was swept: spec, seed, columns of the parameters, fingerprint; no times of day in it
    cells.parquet    one row per cell, replication and Service
    cells/           the finished cells, for going on after an interruption
    figures/         the metrics against the first parameter, as PNG
    cells.nc         on request: the same as netCDF, by xarray

The table is wide: one row is one observation, its settings and its metrics are columns with units in their names. So
`groupby`, `pivot` and plotting libraries take it as it is, each column keeps its type, and Parquet reads only the
columns that are asked for; `DataFrame.melt` makes the long form where somebody wants it. It is the same to the byte
whatever the order, the number of workers or interruptions.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from netsim.experiment.folder import MANIFEST
from netsim.experiment.loader_sweep import FORMAT, SweepBundle
from netsim.experiment.sweep_plan import column
from netsim.experiment.sweep_store import KIND, TABLE, Store, write_atomically
from netsim.experiment.sweep_tasks import Row, SweepError

if TYPE_CHECKING:
    import pandas as pd
    import xarray

    from netsim.measure.style import Plot

SCHEMA_VERSION: Final = 1
_METRICS: Final = ("outage.mean", "errors", "latency.p99")
_MOST_METRICS: Final = 2


class SweepResults:
    """`table` has a row per cell, replication and Service; `columns` are the parameters' columns by their names."""

    def __init__(self, manifest: Mapping[str, Any], table: "pd.DataFrame") -> None:
        self._manifest = dict(manifest)
        self.name: str = manifest["name"]
        self.table = table
        self.columns: dict[str, str] = dict(manifest["columns"])
        self.failed = {int(number): str(why) for number, why in manifest["failed"].items()}

    # ------------------------------------------------------------------ making
    @classmethod
    def empty(cls, bundle: SweepBundle) -> "SweepResults":
        """Of a sweep that has just begun."""
        return cls.of(bundle, [[] for _ in bundle.cells], {})

    @classmethod
    def of(
        cls, bundle: SweepBundle, rows: Sequence[Sequence[Row]], failed: Mapping[int, str]
    ) -> "SweepResults":
        """From the rows of each cell, in the order of the cells."""
        columns = {name: column(name, [c.values[name] for c in bundle.cells]) for name in bundle.fields}
        manifest = {
            "schemaVersion": SCHEMA_VERSION,
            "kind": KIND,
            "format": FORMAT,
            "name": bundle.name,
            "seed": bundle.seed,
            "cells": len(bundle.cells),
            "fingerprint": _fingerprint(bundle, rows),
            "columns": {name: title for name, (title, _) in columns.items()},
            "fields": {name: list(paths) for name, paths in bundle.fields.items()},
            "notes": list(bundle.notes),
            "failed": {str(number): why for number, why in failed.items()},
            "spec": bundle.spec.model_dump(mode="json", by_alias=True),
        }
        return cls(manifest, _table(bundle, rows, columns))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all rows."""
        return str(self._manifest["fingerprint"])

    @property
    def metrics(self) -> tuple[str, ...]:
        """What the summary and the figures show: what the sweep says, else the first that have values."""
        from netsim.measure.metrics import METRICS

        given: Sequence[str] = self._manifest["spec"]["metrics"]
        there = [name for name in _METRICS if self.table[METRICS[name].column].notna().any()]
        return tuple(given) or tuple(there[:_MOST_METRICS])

    def manifest(self) -> dict[str, Any]:
        """The contents of `run.json`."""
        return dict(self._manifest)

    # ------------------------------------------------------------------ showing
    @cached_property
    def summary(self) -> "pd.DataFrame":
        """One row per cell, Service and metric: estimate and 95 % interval over the replications."""
        from netsim.measure.sweep_summary import cell_summary

        return cell_summary(self.table, list(self.columns.values()), self.metrics)

    def text(self) -> str:
        """The summary for a terminal."""
        from netsim.measure.sweep_text import sweep_text

        return sweep_text(self, self._manifest)

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        from netsim.measure.sweep_text import sweep_html

        return sweep_html(self, self._manifest)

    def plot(self, metric: str = "", service: str = "") -> "Plot":
        """A metric against the first parameter, a line per value of the second, panels for the next two. KeyError for
        an unknown metric or Service."""
        from netsim.measure.figures_sweep import sweep_plot

        services = sorted(self.table["service"].unique())
        chosen = service or services[0]
        if chosen not in services:
            raise KeyError(f"no requests to {chosen}; there are {', '.join(services)}")
        part = self.table[self.table["service"] == chosen]
        return sweep_plot(part, self.columns, metric or self.metrics[0], chosen)

    # ------------------------------------------------------------------ keeping
    def write(self, store: Store, figures: bool = True) -> None:
        """Write the tables beside the cells."""
        import io

        buffer = io.BytesIO()
        self.table.to_parquet(buffer, index=False)
        write_atomically(store.folder / TABLE, buffer.getvalue())
        if figures and not self.table.empty:
            (store.folder / "figures").mkdir(exist_ok=True)
            for service in sorted(self.table["service"].unique()):
                for metric in self.metrics:
                    tag = f"{metric}-{service}".replace("/", "-").strip("-")
                    png = self.plot(metric, service).png()
                    write_atomically(store.folder / "figures" / f"{tag}.png", png)
        store.write_manifest(self.manifest())

    @classmethod
    def read(cls, folder: str | Path) -> "SweepResults":
        """Read a folder back. FileNotFoundError when there is none, ValueError when it holds no finished sweep."""
        import pandas as pd

        source = Path(folder)
        manifest = json.loads((source / MANIFEST).read_text(encoding="utf-8"))
        if manifest.get("kind") != KIND or manifest.get("schemaVersion") != SCHEMA_VERSION:
            raise ValueError(f"{source} holds no sweep that this netsim reads")
        if not (source / TABLE).is_file():
            raise ValueError(f"the sweep in {source} is not finished: run it again to go on")
        return cls(manifest, pd.read_parquet(source / TABLE))

    def dataset(self) -> "xarray.Dataset":
        """The table as a labelled array: a dimension per parameter where they form a grid, else one of cells."""
        try:
            from netsim.experiment.sweep_array import dataset
        except ImportError:
            raise SweepError("xarray is not installed: pip install 'k8s-netsim[xarray]'") from None
        return dataset(self.table, self._manifest)


def _fingerprint(bundle: SweepBundle, rows: Sequence[Sequence[Row]]) -> str:
    digest = hashlib.sha256(b"netsim sweep 1\n")
    for cell, part in zip(bundle.cells, rows, strict=True):
        line = json.dumps([cell.key, list(part)], sort_keys=True, separators=(",", ":"))
        digest.update(f"{line}\n".encode())
    return digest.hexdigest()


def _table(
    bundle: SweepBundle, rows: Sequence[Sequence[Row]], columns: Mapping[str, tuple[str, list[Any]]]
) -> "pd.DataFrame":
    """Settings first, then what was observed."""
    import pandas as pd

    from netsim.measure.frames import typed
    from netsim.measure.observations import OBSERVATION_TYPES

    cells = [cell for cell, part in zip(bundle.cells, rows, strict=True) for _ in part]
    observed = typed([row for part in rows for row in part], OBSERVATION_TYPES)
    head = {
        "cell": pd.Series([cell.number for cell in cells], dtype="int64"),
        "key": pd.Series([cell.key for cell in cells], dtype="str"),
        **{
            title: _column([values[cell.number] for cell in cells], values)
            for title, values in columns.values()
        },
        "seed": pd.Series([bundle.seed] * len(cells), dtype="int64"),
    }
    return pd.concat([pd.DataFrame(head), observed], axis=1)


def _column(values: list[Any], everything: Sequence[Any]) -> "pd.Series[Any]":
    """Of the type that all values of the parameter have."""
    import pandas as pd

    kinds = {type(value) for value in everything}
    names = {frozenset({int}): "int64", frozenset({bool}): "bool", frozenset({str}): "str"}
    return pd.Series(values, dtype=names.get(frozenset(kinds), "float64"))
