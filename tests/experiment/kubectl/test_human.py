"""Ages as apimachinery's own tests have them (util/duration/duration_test.go), and times."""

import pytest

from netsim.engine import S
from netsim.experiment.kubectl.human import age, human_duration, rfc1123, rfc3339

MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 365 * 86400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-2, "<invalid>"), (-1, "0s"), (0, "0s"), (1, "1s"), (70, "70s"), (119, "119s"), (2 * MINUTE, "2m"),
        (3 * MINUTE + 10, "3m10s"), (10 * MINUTE + 7, "10m"), (179 * MINUTE, "179m"), (3 * HOUR, "3h"),
        (3 * HOUR + 13 * MINUTE, "3h13m"), (8 * HOUR + 20 * MINUTE, "8h"), (47 * HOUR, "47h"), (2 * DAY, "2d"),
        (2 * DAY + 3 * HOUR, "2d3h"), (8 * DAY + 7 * HOUR, "8d"), (YEAR, "365d"), (2 * YEAR, "2y"),
        (2 * YEAR + 5 * DAY, "2y5d"), (9 * YEAR, "9y"),
    ],
)  # fmt: skip
def test_human_duration(seconds: int, text: str) -> None:
    assert human_duration(seconds * S) == text


def test_times() -> None:
    assert age(5 * S, None) == "<unknown>"
    assert age(5 * S, 2 * S) == "3s"
    assert rfc3339(61 * S) == "1970-01-01T00:01:01Z"
    assert rfc1123(61 * S) == "Thu, 01 Jan 1970 00:01:01 +0000"
