"""What clients were told when a request failed, and what held up those that succeeded late: counts by kind.

Failures are named as programs see them: the errno of the system call, the EAI code of getaddrinfo, or the client's own
time-out, and beside it the exit code that curl would have (curl(1), lib/{connect,cf-socket,strerror}.c of curl 8.5).
The kind of connection says most: a refused new connection is over at once, a kept one to a dead host is silent until a
time-out or the kernel's retransmissions (15 doublings, about 15 minutes) are. Called by `text`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from netsim.kernel.errno import Errno
from netsim.measure.confidence import quantile
from netsim.measure.failover import SLOW_NS
from netsim.measure.summary import seconds
from netsim.measure.table import table

_ERRNO: Final = {str(errno): errno.name for errno in Errno}
_OWN_TIMEOUT: Final = " while "
_DURING: Final = {
    "looking up the name": "look-up",
    "waiting for a free connection": "pool",
    "connecting": "connect",
    "waiting for the answer": "answer",
}
# getaddrinfo(3) of glibc: no such name, or no name server that could say.
_EAI: Final = {"NXDOMAIN": "EAI_NONAME", "NODATA": "EAI_NODATA"}
_CURL_CONNECT: Final = {"ETIMEDOUT": 28}
_CURL_ANSWER: Final = {"EPIPE": 55}
_NO_HOST_ERROR: Final = "no host"  # `experiment.url_variables`: a variable that is not set
_URL: Final = 3
_COULD_NOT_CONNECT, _RECV_ERROR, _OWN, _NO_HOST, _HTTP, _EMPTY, _PARTIAL = 7, 56, 28, 6, 22, 52, 18

HEAD: Final = ("load", "connection", "during", "error", "curl", "requests", "waited p50", "max")


@dataclass(frozen=True, slots=True)
class Kind:
    """How a request failed: on a new, kept or no connection, in which step, as what, with curl's exit code."""

    connection: str
    step: str
    error: str
    curl: int


def kind_of(outcome: str, error: str, reused: bool, connected: bool, connection: int) -> Kind:
    """The kind of one failed request, from its record."""
    on = "kept" if reused else "new" if connection else "none"
    step = "answer" if reused or connected else "connect"
    if outcome == "dns" and error.startswith(_NO_HOST_ERROR):
        return Kind("none", "URL", "no host in it", _URL)
    if outcome == "dns":
        return Kind("none", "look-up", _EAI.get(error, "EAI_AGAIN"), _NO_HOST)
    if outcome == "http-error":
        return Kind(on, "answer", error, _HTTP)
    before, middle, where = error.partition(_OWN_TIMEOUT)
    if outcome == "timeout" and middle:
        named = "connect time-out" if before == "connect time-out" else "time-out"
        return Kind(on, _DURING.get(where, step), named, _OWN)
    errno = _ERRNO.get(error)
    if errno is None:
        partial = "within" in error
        return Kind(
            on, "answer", "FIN within it" if partial else "FIN instead", _PARTIAL if partial else _EMPTY
        )
    if step == "connect":
        return Kind(on, step, errno, _CURL_CONNECT.get(errno, _COULD_NOT_CONNECT))
    return Kind(on, step, errno, _CURL_ANSWER.get(errno, _RECV_ERROR))


def client_error_lines(requests: pd.DataFrame) -> list[str]:
    """Two tables, each only if there is something in it: failed requests by kind, late successes by reason."""
    lines: list[str] = []
    failed = _failed_rows(requests)
    if failed:
        lines += [
            "Failed requests, by what the client was told (curl: its exit code)",
            *table(HEAD, failed, "llllrrrr"),
        ]
    late = _late_rows(requests)
    if late:
        head = ("load", "held up by", "requests", "took p50", "max")
        lines += [*([""] if lines else []), "Succeeded late", *table(head, late, "llrrr")]
    return lines


def _failed_rows(requests: pd.DataFrame) -> list[tuple[str, ...]]:
    bad = requests[~requests["outcome"].isin(["ok", "aborted"]) & (requests["queries"] == 0)]
    columns = (bad[c] for c in ("load", "outcome", "error", "reused", "connection", "latency_ns"))
    found: dict[tuple[str, Kind], list[int]] = {}
    for load, outcome, error, reused, connection, took, connected in zip(
        *columns, bad["connect_ns"].notna(), strict=True
    ):
        kind = kind_of(str(outcome), str(error), bool(reused), bool(connected), int(connection))
        found.setdefault((str(load), kind), []).append(int(took))
    ordered = sorted(found.items(), key=lambda item: (item[0][0], -len(item[1]), str(item[0][1])))
    return [
        (load, kind.connection, kind.step, kind.error, str(kind.curl), *_numbers(took))
        for (load, kind), took in ordered
    ]


def _late_rows(requests: pd.DataFrame) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    good = requests[requests["outcome"] == "ok"]
    for load in sorted(set(good["load"])):
        part = good[good["load"] == load]
        retried = part["attempts"] > 1
        limit = SLOW_NS + float(part["latency_ns"].median())
        slow = part[~retried & (part["latency_ns"] >= limit)]
        reasons = slow.apply(_held_up_by, axis=1) if len(slow) else pd.Series(dtype="str")
        for reason in sorted(set(reasons)):
            rows.append((str(load), reason, *_numbers(slow.loc[reasons == reason, "latency_ns"])))
        if bool(retried.any()):
            rows.append(
                (
                    str(load),
                    _retries(part.loc[retried, "attempts"]),
                    *_numbers(part.loc[retried, "latency_ns"]),
                )
            )
    return rows


def _held_up_by(row: "pd.Series[Any]") -> str:
    """What a slow success waited for: the kept connection that was dead, or else its longest step."""
    if row["replaced"]:
        return "a kept connection that was dead"
    resolve = 0 if pd.isna(row["resolve_ns"]) else int(row["resolve_ns"])
    connect = 0 if pd.isna(row["connect_ns"]) else int(row["connect_ns"])
    rest = int(row["latency_ns"]) - resolve - connect
    longest = max(resolve, connect, rest)
    if longest == resolve:
        return "the look-up"
    return "connecting (the SYN was sent again)" if longest == connect else "the answer"


def _retries(attempts: "pd.Series[Any]") -> str:
    most = int(attempts.max()) - 1
    return (
        "a failed attempt, tried again" if most == 1 else f"failed attempts, tried again up to {most} times"
    )


def _numbers(took: Iterable[int]) -> tuple[str, str, str]:
    waited = np.array(list(took), dtype=float)
    return f"{waited.size:,}", seconds(quantile(waited, 0.5)), seconds(float(waited.max()))
