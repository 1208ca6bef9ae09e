"""SYN options: Linux's layout, and tolerance for anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsim.kernel.tcp_options import SynOptions, parse_syn_options, syn_options


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((1460,), "020405b4 01010402 01030307"),
        ((1460, -1), "020405b4 01010402"),
        ((1460, 7, False), "020405b4 01030307"),
        ((536, -1, False), "02040218"),
    ],
)
def test_layout(arguments: tuple[int, ...], expected: str) -> None:
    assert syn_options(*arguments) == bytes.fromhex(expected)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", SynOptions(0, -1, False)),
        ("020405b4 0402 080a0000000100000000 01 030307", SynOptions(1460, 7, True)),  # Linux with timestamps
        ("020405b4 0103030f", SynOptions(1460, 14, False)),  # RFC 7323: 15 counts as 14
        ("00 020405b4", SynOptions(0, -1, False)),  # end of options
        ("0204", SynOptions(0, -1, False)),
        ("0200 020405b4", SynOptions(0, -1, False)),  # a length that cannot be
        ("fe04f989 020405b4", SynOptions(1460, -1, False)),  # unknown
    ],
)
def test_reading(options: str, expected: SynOptions) -> None:
    assert parse_syn_options(bytes.fromhex(options)) == expected


@given(st.integers(1, 65535), st.integers(-1, 14), st.booleans())
def test_reads_what_it_writes(mss: int, scale: int, sack: bool) -> None:
    assert parse_syn_options(syn_options(mss, scale, sack)) == (mss, scale, sack)


@given(st.binary(max_size=40))
def test_never_fails(options: bytes) -> None:
    said = parse_syn_options(options)
    assert 0 <= said.mss <= 65535
    assert -1 <= said.window_scale <= 14
