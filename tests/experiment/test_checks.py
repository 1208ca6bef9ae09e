"""The check language: what it accepts, what it refuses and where, and what it finds."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsim.cluster.records import ClusterEvent
from netsim.engine import MS, S
from netsim.experiment.analysis import Analysis
from netsim.experiment.check_syntax import MAX_LENGTH
from netsim.experiment.checks import CheckError, compile_check
from netsim.measure.collect import Recording
from netsim.measure.frames import events_frame, requests_frame
from netsim.workload.records import FaultInjected, RequestDone

WEB = "default/web"


def recording(replication: int, lasts_ns: int = 2 * S, recovers: bool = True) -> Recording:
    """Two pods, ten requests a second; pod a is dead from 10 s on for a time, and detected at half of it."""
    done, end = [], 10 * S + lasts_ns
    for number in range(1, 301):
        at = number * S // 10
        pod = "ab"[number % 2]
        dead = pod == "a" and 10 * S <= at < end
        done.append(
            RequestDone("default/c", "shop", number, number, WEB, "web", at, at + MS, 0 if dead else at + 2 * MS,
                        at + (500 * MS if dead else 10 * MS), "timeout" if dead else "ok", 0 if dead else 200,
                        1, f"10.0.0.{number % 2 + 1}:80", f"default/web-{pod}", "n1", client_node="n1")
        )  # fmt: skip
    ready = {"service": WEB, "added": "10.0.0.1,10.0.0.2"}
    detected = ClusterEvent(10 * S + lasts_ns // 2, "kubelet", "PodUnready", "Pod", "default", "web-a", "n1")
    events = [
        ClusterEvent(
            1, "endpointslice", "EndpointSliceUpdated", "EndpointSlice", "default", "web-x", "", ready
        )
    ]
    fault = FaultInjected(10 * S, "pod-hang-1", "pod-hang", ("default/web-a",), (), (), ("10.0.0.1",), (WEB,))
    told = (*events, detected) if recovers else tuple(events)
    return Recording(replication, 0, 31 * S, tuple(done), told, (fault,))


def analysis(*recordings: Recording) -> Analysis:
    return Analysis(requests_frame(recordings), events_frame(recordings))


@pytest.fixture(scope="module")
def three() -> Analysis:
    """Three replications with outages of about 1, 2 and 3 s."""
    return analysis(*(recording(i, lasts_ns=i * S) for i in (1, 2, 3)))


@pytest.mark.parametrize(
    ("expr", "passed", "actual"),
    [
        ("requests.total == 900", True, "900"),
        (
            "requests('web').failed == requests.timeout",
            True,
            "requests('web').failed = 30; requests.timeout = 30",
        ),
        ("errors < 5%", True, "3.33%"),
        ("errors('web') < 1%", False, "3.33%"),
        ("errors * 900 == 30", True, "3.33%"),
        ("latency.p50 == 10ms", True, "10.0 ms"),
        ("latency.max <= 10ms and latency.min >= 5ms", True, "latency.max = 10.0 ms; latency.min = 10.0 ms"),
        ("split('web').pvalue > 1%", True, "1"),
        ("split('web').share('web-a') == 50%", True, "50%"),
        ("split('web').share('nobody') == 50%", False, "no endpoint 'nobody'"),
        ("split('web').verdict == 'chance'", True, "chance"),
        ("split('nope').jain > 0.9", False, "no request went to a Service 'nope'; there are default/web"),
        ("failover('web').outage < 5s", True, "over 3 cases"),
        ("failover('web').outage < 2s", False, "1.3 s to 3.3 s"),
        ("failover('web').outage.min < 2s", True, "1.30 s"),
        ("failover('web', 'pod-hang-1').outage.mean < 3s", True, "2.30 s"),
        ("failover('web', 'other').outage < 3s", False, "no fault 'other' happened"),
        (
            "0.4s <= failover('web').detected <= 1.6s",
            True,
            "0.500 s to 1.50 s, 1.00 s on average over 3 cases",
        ),
        ("failover('web').detected / failover('web').outage < 0.6", True, "failover('web').detected = "),
        ("failover('web').rules_synced < 5s", False, "never"),
        ("not failover('web').rules_synced < 5s", True, "never"),
        ("failover('web').recovered", True, "true in 3 of 3 cases"),
        ("failover('web').failed > 0", True, "5 to 15, 10 on average over 3 cases"),
        ("failover('web').outage - failover('web').detected < 2s", True, "failover('web').outage = "),
        ("failover('web').outage > 0", True, "over 3 cases"),
        ("-failover('web').outage < 0", True, "over 3 cases"),
        ("requests.failed == 0 or errors < 1m30s / 1m", True, "requests.failed = 30"),
        ("latency.p99 < 1m30s", True, "10.0 ms"),
        ("latency.p99\n  < 200µs * 100", True, "10.0 ms"),
        ("requests.retried == 0 and requests.connections == 900 and requests.http_error == 0", True, "900"),
    ],
)
def test_what_a_check_finds(three: Analysis, expr: str, passed: bool, actual: str) -> None:
    result = compile_check(expr, name="c", points=2, hint="h").evaluate(three)
    assert result.passed is passed, result.actual
    assert actual.replace("1.3 s", "1.30 s").replace("3.3 s", "3.30 s") in result.actual
    assert result.earned == (2 if passed else 0)


@pytest.mark.parametrize(
    ("expr", "column", "problem"),
    [
        ("", 1, "the expression is empty"),
        ("errors <", 9, "not an expression"),
        ("errors < 5sec", 11, "'sec' is no unit: write ns, us, ms, s, m or h"),
        ("latency.p99 < 5 s", 17, "write the unit right behind the number, as in 5s"),
        ("failover('web').outage < 5", 26, "give it a unit, as in 5s or 200ms"),
        ("5 > failover('web').outage", 5, "give it a unit"),
        ("failover('web').outage + 5 < 5s", 1, "a duration and a number cannot be combined"),
        ("failover('web').outage * 5s < 5s", 1, "cannot be combined"),
        (
            "latncy.p99 < 5s",
            1,
            "unknown name 'latncy' here: did you mean latency? (there are client, errors, failover, latency",
        ),
        ("latency.p98 < 5s", 9, "unknown name 'p98' after latency: did you mean p99"),
        ("  requests.totl > 1", 12, "did you mean total"),
        ("errors", 1, "this is a value and no claim"),
        ("5s < 6s", 1, "this asks nothing of the run"),
        ("errors = 1%", 8, "to compare write =="),
        ("errors < 1% && errors > 0", 13, "write and, or, not"),
        ("errors and errors < 1%", 1, "and, or, not combine claims"),
        ("not errors", 5, "combine claims"),
        ("split.jain > 1", 1, "write split('my-nginx')"),
        ("split('a', 'b').jain > 1", 1, "write split('my-nginx')"),
        ("split(1).jain > 1", 1, "write split('my-nginx')"),
        ("split('a').share > 1", 1, "write .share('my-nginx')"),
        ("split('a') > 1", 1, "split needs a dot and one of"),
        ("split(s='a').jain > 1", 8, "to compare write =="),
        ("requests.total() > 1", 1, ".total takes no parentheses"),
        ("errors.p99 > 1", 1, "errors is a value itself"),
        ("latency.p99.mean < 1s", 1, "one value already"),
        ("failover('a').recovered.mean < 1", 1, "a claim has no .mean"),
        ("failover('a').recovered > 0", 27, "a claim cannot be compared with a number"),
        ("failover('a').recovered < failover('a').recovered", 27, "only be compared by == and !="),
        ("split('a').verdict < 'z'", 22, "only be compared by"),
        ("split('a').verdict == 1", 23, "a text cannot be compared with a number"),
        ("-failover('a').recovered", 1, "minus has no meaning for a claim"),
        ("True == 1", 1, "True is not part"),
        ("__import__('os').system('ls') == 0", 1, "unknown name '__import__'"),
        ("errors.__class__ == 0", 1, "errors is a value itself"),
        ("(lambda: 1)() > 0", 2, "lambda is not part"),
        ("[x for x in 'a'] == 1", 1, "'[' has no meaning"),
        ("'a' if errors < 1% else 'b'", 5, "if is not part of the check language"),
        ("2 ** 9 > errors", 3, "not part of the check language"),
        ("errors < 1 // 2", 12, "not part of the check language"),
        ("'a' in errors", 5, "not part of the check language"),
        ("errors is 1", 8, "not part of the check language"),
        ("__ < 1s", 1, "'__' is no name"),
        ("errors < 'it''s", 14, "this text is not closed"),
        ("split('ä').jain > 1", 7, "this text is not closed, or holds characters other than plain ASCII"),
        ("errors < 1%" + " " * MAX_LENGTH, MAX_LENGTH + 1, "may have 1000 characters"),
        ("-" * 900 + "errors < 1", 1, "too long"),
        ("(" * 400 + "errors" + ")" * 400 + " < 1", 1, "not an expression (too many nested parentheses)"),
        (" and ".join(["errors < 1"] * 60), 1, "too long: "),
    ],
)
def test_what_a_check_refuses_and_where(expr: str, column: int, problem: str) -> None:
    with pytest.raises(CheckError) as caught:
        compile_check(expr)
    assert problem in str(caught.value)
    if "nested" not in problem:
        assert caught.value.column == column
    assert isinstance(caught.value, ValueError)
    assert str(type(caught.value)(*caught.value.args)) == str(caught.value)


def test_a_check_knows_the_names_that_it_asks_about() -> None:
    check = compile_check(
        "split('web').share('web-0') > 1% and failover('a/db').outage < 1s and errors('web') < 1%"
    )
    assert check.services == ("web", "a/db")
    assert check.pods == ("web-0",)


def test_an_outage_that_never_ends_is_longer_than_any_bound() -> None:
    endless = analysis(recording(1, lasts_ns=100 * S, recovers=False))
    result = compile_check("failover('web').outage < 1h").evaluate(endless)
    assert (result.passed, result.actual) == (False, "not over when the run ended")
    result = compile_check("failover('web').detected < 1h").evaluate(endless)
    assert (result.passed, result.actual) == (False, "never")


def test_without_faults_or_requests_a_check_fails_and_says_why() -> None:
    quiet = analysis(replace(recording(1), faults=()))
    result = compile_check("failover('web').outage < 1h").evaluate(quiet)
    assert (result.passed, result.actual) == (False, "no fault happened to default/web; there are none")
    empty = analysis()
    for expr in ("errors < 1%", "latency.p99 < 1h"):
        assert not compile_check(expr).evaluate(empty).passed
    assert compile_check("requests.total == 0").evaluate(empty).passed


@pytest.mark.parametrize(
    ("during", "expr", "passed"),
    [
        ((0, 9 * S), "errors == 0", True),
        ((0, 9 * S), "failover('web').outage < 1h", False),
        ((10 * S, 11 * S), "errors >= 45%", True),
        ((9 * S, 30 * S), "failover('web').outage < 5s", True),
    ],
)
def test_during_limits_requests_and_faults(
    three: Analysis, during: tuple[int, int], expr: str, passed: bool
) -> None:
    assert compile_check(expr, during=during).evaluate(three).passed is passed


words = st.sampled_from(
    ["errors", "requests", ".total", "latency", ".p99", "split('a')", ".jain", "failover('a')", ".outage", ".mean", "(",
     ")", "<", "==", "and", "or", "not", "+", "-", "*", "/", "5s", "1%", "3", "'x'", " ", ",", "_", "5x", "**"]
)  # fmt: skip


@given(st.lists(words, max_size=14).map(" ".join))
def test_nonsense_is_refused_with_a_position_and_nothing_else(expr: str) -> None:
    _compiles_or_says_where(compile_check, expr)


@given(st.text(max_size=60))
def test_any_text_is_refused_with_a_position_and_nothing_else(expr: str) -> None:
    _compiles_or_says_where(compile_check, expr)


def _compiles_or_says_where(compile_it: Callable[[str], object], expr: str) -> None:
    try:
        compile_it(expr)
    except CheckError as error:
        found = error
    else:
        return
    assert 1 <= found.column <= len(expr) + 1
    assert found.problem
