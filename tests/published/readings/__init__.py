"""How each table's figures are read from runs: one function per table, from its id to {name of a value: figure}.

Called by: `table.py` and `test_published.py`. The names are those of `published.yaml`.
"""

from collections.abc import Callable, Mapping
from typing import Final

from published.readings import control, dataplane, established, failover, names

READINGS: Final[Mapping[str, Callable[[], dict[str, float]]]] = {
    "V01": failover.v01,
    "V03": failover.v03,
    "V04": failover.v04,
    "V06": failover.v06,
    "V08a": established.v08a,
    "V09": established.v09,
    "V11": failover.v11,
    "V12": established.v12,
    "V15": failover.v15,
    "V16": failover.v16,
    "V20": control.v20,
    "V22": control.v22,
    "V23": control.v23,
    "V24": control.v24,
    "V25": control.v25,
    "V30": dataplane.v30,
    "V32": dataplane.v32,
    "V33": dataplane.v33,
    "V36": dataplane.v36,
    "V38": dataplane.v38,
    "V41": names.v41,
    "V42": names.v42,
    "V50": names.v50,
}
