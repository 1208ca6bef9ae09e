"""A sweep's table as an xarray Dataset, and that as a netCDF file (netCDF-3 by scipy: no further library).

Called by `sweep_results`, on request only; this is the one module that imports xarray.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import xarray as xr

from netsim.measure.observations import OBSERVATION_TYPES

if TYPE_CHECKING:
    from netsim.experiment.sweep_results import SweepResults

_INDEX = ("replication", "service")


def dataset(table: pd.DataFrame, manifest: Mapping[str, Any]) -> xr.Dataset:
    """Dimensions: the parameters, if every combination is there once, else `cell` with the parameters as coordinates;
    then replication and Service. What is missing is NaN."""
    columns: dict[str, str] = manifest["columns"]
    names = {column: _plain(column) for column in columns.values()}
    plain = table.rename(columns=names)
    parameters = list(names.values())
    settings = plain.drop_duplicates("cell")[["cell", *parameters]]
    grid = len(settings) == _product(settings, parameters)
    dimensions = [*(parameters if grid else ["cell"]), *_INDEX]
    values = [name for name in OBSERVATION_TYPES if name not in _INDEX]
    # netCDF-3 has no 64-bit integers and no booleans.
    numbers = plain.set_index(dimensions)[values].astype("float64")
    found = xr.Dataset.from_dataframe(numbers)
    if not grid:
        found = found.assign_coords({name: ("cell", settings[name].to_numpy()) for name in parameters})
    for name, column in columns.items():
        found[_plain(column)].attrs["fields"] = ", ".join(manifest["fields"][name])
    attributes = {
        "sweep": manifest["name"],
        "seed": str(manifest["seed"]),
        "fingerprint": manifest["fingerprint"],
    }
    return found.assign_attrs(attributes)


def write_netcdf(results: "SweepResults", path: Path) -> None:
    """Write the dataset, all or nothing."""
    from netsim.experiment.sweep_store import write_atomically

    found = results.dataset()
    for name in list(found.coords):
        if found[name].dtype.kind in "iub":
            found = found.assign_coords({name: found[name].astype("float64")})
    write_atomically(path, bytes(found.to_netcdf(engine="scipy")))


def _product(settings: pd.DataFrame, parameters: list[str]) -> int:
    if settings.duplicated(parameters).any():
        return -1
    total = 1
    for name in parameters:
        total *= settings[name].nunique()
    return total


def _plain(name: str) -> str:
    """A name that netCDF can hold; field paths have brackets and slashes."""
    return re.sub(r"[^A-Za-z0-9_.]+", "_", name).strip("_")
