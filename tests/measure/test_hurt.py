"""How long clients are hurt, and what they were told, on records whose answers are known."""

from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest

from netsim.engine import MS, S
from netsim.kernel.errno import Errno
from netsim.measure.client_errors import Kind, client_error_lines, kind_of
from netsim.measure.collect import Recording
from netsim.measure.figures_hurt import hurt_plot
from netsim.measure.frames import events_frame, requests_frame
from netsim.measure.hurt import hurt_comparison_lines, hurt_frame, hurt_lines
from netsim.workload.records import FaultInjected, RequestDone

EPOCH = 100 * S
FAULT = 10 * S
CONNECT = "connect time-out"
CLOSED = "the server closed the connection"


def request(
    load: str, start_ns: int, took_ns: int = 1 * MS, outcome: str = "ok", **more: object
) -> RequestDone:
    at = EPOCH + start_ns
    return replace(
        RequestDone("default/c", load, 1, 1, "default/web", "web", at, 0, at + MS, at + took_ns, "ok"),
        outcome=outcome,
        request=start_ns + 1,
        **more,
    )


def frames(*requests: RequestDone, fault: bool = True) -> tuple[pd.DataFrame, pd.DataFrame]:
    faults = (FaultInjected(EPOCH + FAULT, "pod-kill-1", "pod-kill"),) if fault else ()
    recordings = [Recording(0, EPOCH, EPOCH + 100 * S, requests, (), faults)]
    return requests_frame(recordings), events_frame(recordings)


def usual(load: str, *but: int) -> list[RequestDone]:
    """A request each second for a minute, without some of them."""
    return [request(load, second * S) for second in range(60) if second not in but]


# ---------------------------------------------------------------------- kinds
@pytest.mark.parametrize(
    ("outcome", "error", "reused", "connected", "connection", "kind"),
    [
        ("refused", str(Errno.ECONNREFUSED), False, False, 3, Kind("new", "connect", "ECONNREFUSED", 7)),
        ("unreachable", str(Errno.EHOSTUNREACH), False, False, 3, Kind("new", "connect", "EHOSTUNREACH", 7)),
        ("timeout", str(Errno.ETIMEDOUT), False, False, 3, Kind("new", "connect", "ETIMEDOUT", 28)),
        ("timeout", str(Errno.ETIMEDOUT), True, False, 3, Kind("kept", "answer", "ETIMEDOUT", 56)),
        ("reset", str(Errno.ECONNRESET), True, False, 3, Kind("kept", "answer", "ECONNRESET", 56)),
        ("reset", str(Errno.EPIPE), True, False, 3, Kind("kept", "answer", "EPIPE", 55)),
        ("timeout", "timed out while connecting", False, False, 3, Kind("new", "connect", "time-out", 28)),
        ("timeout", f"{CONNECT} while connecting", False, False, 3, Kind("new", "connect", CONNECT, 28)),
        ("timeout", "timed out while waiting for the answer", True, False, 3, Kind("kept", "answer", "time-out", 28)),
        ("timeout", "timed out while looking up the name", False, False, 0, Kind("none", "look-up", "time-out", 28)),
        ("dns", "NXDOMAIN", False, False, 0, Kind("none", "look-up", "EAI_NONAME", 6)),
        ("dns", "SERVFAIL", False, False, 0, Kind("none", "look-up", "EAI_AGAIN", 6)),
        ("dns", "no host in the URL: A is not set", False, False, 0, Kind("none", "URL", "no host in it", 3)),
        ("http-error", "503 Service Unavailable", False, True, 3, Kind("new", "answer", "503 Service Unavailable", 22)),
        ("reset", f"{CLOSED} without an answer", False, True, 3, Kind("new", "answer", "FIN instead", 52)),
        ("reset", f"{CLOSED} within its answer", False, True, 3, Kind("new", "answer", "FIN within it", 18)),
    ],
)  # fmt: skip
def test_kinds(outcome: str, error: str, reused: bool, connected: bool, connection: int, kind: Kind) -> None:
    assert kind_of(outcome, error, reused, connected, connection) == kind


def test_failed_and_late_requests_are_counted_by_kind() -> None:
    refused = [
        request("a", n, 2 * MS, "refused", error=str(Errno.ECONNREFUSED), connected_ns=0) for n in (1, 2)
    ]
    reset = request("a", 3, 9 * MS, "reset", error=str(Errno.ECONNRESET), reused=True, connected_ns=0)
    late = request("b", 4, 1500 * MS, connected_ns=EPOCH + 4 + 1400 * MS)
    tried = request("b", 5, 300 * MS, attempts=3)
    lines = client_error_lines(frames(*usual("a"), *usual("b"), *refused, reset, late, tried)[0])
    assert [line.split() for line in lines] == [
        [
            "Failed",
            "requests,",
            "by",
            "what",
            "the",
            "client",
            "was",
            "told",
            "(curl:",
            "its",
            "exit",
            "code)",
        ],
        ["load", "connection", "during", "error", "curl", "requests", "waited", "p50", "max"],
        ["a", "new", "connect", "ECONNREFUSED", "7", "2", "2.00", "ms", "2.00", "ms"],
        ["a", "kept", "answer", "ECONNRESET", "56", "1", "9.00", "ms", "9.00", "ms"],
        [],
        ["Succeeded", "late"],
        ["load", "held", "up", "by", "requests", "took", "p50", "max"],
        ["b", "connecting", "(the", "SYN", "was", "sent", "again)", "1", "1.50", "s", "1.50", "s"],
        [
            "b",
            "failed",
            "attempts,",
            "tried",
            "again",
            "up",
            "to",
            "2",
            "times",
            "1",
            "0.300",
            "s",
            "0.300",
            "s",
        ],
    ]
    assert client_error_lines(frames(*usual("a"))[0]) == []


# ---------------------------------------------------------------------- how long
def hurt(*requests: RequestDone) -> tuple[int, int, int, int, int, bool]:
    [row] = hurt_frame(*frames(*requests)).itertuples()
    return row.failed, row.slow, row.retried, row.hurt_ns, row.longest_ns, row.over


def test_nobody_is_hurt() -> None:
    assert hurt(*usual("a")) == (0, 0, 0, 0, 0, True)
    assert hurt_frame(*frames(*usual("a"), fault=False)).empty


def test_from_the_fault_to_the_end_of_the_last_failure() -> None:
    failed = [request("a", second * S, 1 * S, "timeout") for second in (10, 11, 12)]
    assert hurt(*usual("a", 10, 11, 12), *failed) == (3, 0, 0, 3 * S, 1 * S, True)


def test_a_request_from_before_that_waits_long() -> None:
    """It was under way when the fault came; others went well long before it was over."""
    assert hurt(*usual("a"), request("a", 9999 * MS, 40 * S, "timeout")) == (
        1,
        0,
        0,
        39999 * MS,
        40 * S,
        True,
    )


def test_a_stray_failure_later_does_not_count() -> None:
    failed = [request("a", second * S, 1 * S, "timeout") for second in (10, 11, 40)]
    assert hurt(*usual("a", 10, 11, 40), *failed)[3] == 2 * S


def test_late_and_repeated_successes_hurt_too() -> None:
    slow = request("a", 10 * S, 3 * S)
    retried = request("a", 11 * S, 5 * S, attempts=4)
    assert hurt(*usual("a", 10, 11), slow, retried) == (0, 1, 1, 6 * S, 5 * S, True)


def test_who_still_waits_at_the_end() -> None:
    cut = request("a", 10 * S, 90 * S, "aborted")
    assert hurt(*usual("a", 10), cut) == (0, 0, 0, 90 * S, 90 * S, False)
    assert hurt(*usual("a"), request("a", 59 * S + 1, 10 * MS, "aborted")) == (0, 0, 0, 0, 0, True)


def test_the_table() -> None:
    failed = [
        request("b", s * S, 1 * S, "refused", error="Connection refused", connected_ns=0) for s in (10, 11)
    ]
    cut = request("c", 10 * S, 90 * S, "aborted")
    both = frames(*usual("a"), *usual("b", 10, 11), *failed, *usual("c", 10), cut)
    lines = [line.split() for line in hurt_lines(*both)]
    assert lines[1:] == [
        ["load", "failed", "slow", "retried", "hurt", "for", "longest", "wait", "mostly"],
        ["a", "0", "0", "0", "0", "ns", "0", "ns", "nothing"],
        ["b", "2", "0", "0", "2.00", "s", "1.00", "s", "connect:", "ECONNREFUSED"],
        ["c", "0", "0", "0", ">", "90.0", "s", ">", "90.0", "s", "still", "waiting"],
    ]
    assert hurt_lines(*frames(*usual("a"))) == []  # one load: the failover says it all


def test_variants_side_by_side() -> None:
    calm = hurt_frame(*frames(*usual("a"), *usual("b")))
    hit = hurt_frame(
        *frames(
            *usual("a"), *usual("b", 10), request("b", 10 * S, 1 * S, "timeout", error="x while connecting")
        )
    )
    lines = [line.split() for line in hurt_comparison_lines([("calm", calm), ("hit", hit)])]
    assert lines[1:] == [
        ["load", "calm", "hit"],
        ["a", "0", "ns", "0", "ns"],
        ["b", "0", "ns", "1.00", "s"],
        [],
        ["What", "they", "were", "told"],
        ["variant", "load", "failed", "slow", "retried", "hurt", "for", "longest", "wait", "mostly"],
        ["hit", "b", "1", "0", "0", "1.00", "s", "1.00", "s", "connect:", "time-out"],
    ]
    assert hurt_comparison_lines([("calm", calm), ("again", calm)])[-1].split()[0] == "b"
    assert hurt_comparison_lines([("none", hurt_frame(*frames(fault=False)))]) == []


def test_the_figure_says_who_was_not_hurt(study: Callable[..., Recording]) -> None:
    calm = hurt_frame(*frames(*usual("a"), *usual("b")))
    hit = hurt_frame(*frames(*usual("a"), *usual("b", 10), request("b", 10 * S, 90 * S, "aborted")))
    [axes] = hurt_plot({"calm": calm, "hit": hit}).axes
    words = [text.get_text() for text in axes.texts]
    assert words.count("not hurt") == 3
    assert "over 90.0 s" in words
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
