"""The state table against RFC 9293, and nothing outside it."""

import pytest

from netsim.kernel.tcp_state import CAN_RECEIVE, CAN_SEND, CONNECTING, HALF_OPEN, TRANSITIONS, Event, State

# A path per line: what happens to one end from the first event to CLOSED (RFC 9293 figure 5 and section 3.10).
PATHS = {
    "active open, closes first": (
        "CLOSED CONNECT SYN_SENT SYN_ACK ESTABLISHED CLOSE FIN_WAIT_1 FIN_ACKED FIN_WAIT_2 FIN TIME_WAIT EXPIRE CLOSED"
    ),
    "passive open, peer closes first": (
        "LISTEN SYN SYN_RECEIVED SYN_ACKED ESTABLISHED FIN CLOSE_WAIT CLOSE LAST_ACK FIN_ACKED CLOSED"
    ),
    "simultaneous open": "CLOSED CONNECT SYN_SENT SYN SYN_RECEIVED SYN_ACKED ESTABLISHED",
    "simultaneous close": "ESTABLISHED CLOSE FIN_WAIT_1 FIN CLOSING FIN_ACKED TIME_WAIT EXPIRE CLOSED",
    "refused": "CLOSED CONNECT SYN_SENT KILL CLOSED",
    "half-open timed out": "LISTEN SYN SYN_RECEIVED KILL CLOSED",
    "reset while half closed": "ESTABLISHED FIN CLOSE_WAIT KILL CLOSED",
    "orphan given up": "ESTABLISHED CLOSE FIN_WAIT_1 FIN_ACKED FIN_WAIT_2 KILL CLOSED",
}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_paths_of_rfc_9293(path: str) -> None:
    words = path.split()
    state = State[words[0]]
    for event, expected in zip(words[1::2], words[2::2], strict=True):
        state = TRANSITIONS[state][Event[event]]
        assert state is State[expected]


@pytest.mark.parametrize(
    ("state", "event"),
    [
        ("CLOSED", "FIN"),
        ("CLOSED", "KILL"),
        ("LISTEN", "CONNECT"),
        ("SYN_SENT", "FIN"),
        ("SYN_SENT", "CLOSE"),
        ("SYN_RECEIVED", "CLOSE"),
        ("FIN_WAIT_2", "FIN_ACKED"),
        ("CLOSE_WAIT", "FIN"),
        ("LAST_ACK", "CLOSE"),
        ("TIME_WAIT", "KILL"),
    ],
)
def test_moves_that_do_not_exist(state: str, event: str) -> None:
    assert Event[event] not in TRANSITIONS[State[state]]


def test_every_state_is_in_the_table_and_can_end() -> None:
    assert set(TRANSITIONS) == set(State)
    reached = {State.CLOSED}
    while True:
        more = {state for state, row in TRANSITIONS.items() if reached & set(row.values())} | reached
        if more == reached:
            break
        reached = more
    assert reached == set(State)


def test_who_may_send_and_receive() -> None:
    assert {state for state, row in TRANSITIONS.items() if Event.CLOSE in row} == CAN_SEND
    assert {state for state, row in TRANSITIONS.items() if Event.FIN in row} == CAN_RECEIVE
    assert (CONNECTING, HALF_OPEN) == (State.SYN_SENT, State.SYN_RECEIVED)


def test_names_as_ss_writes_them() -> None:
    assert str(State.TIME_WAIT) == "TIME-WAIT"
