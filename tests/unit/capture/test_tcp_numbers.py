"""tcpdump's relative numbers, made absolute: the conversation as tcpdump prints it, and as it was."""

from __future__ import annotations

import pytest

from bothways.capture.tcp_numbers import Conversations
from bothways.facts.address import Endpoint, address
from bothways.facts.packet import Flag, Tcp

CLIENT = Endpoint(address("192.0.2.1"), 17350)
SERVER = Endpoint(address("198.51.100.22"), 22)
S, A, P, R, F = Flag.SYN, Flag.ACK, Flag.PSH, Flag.RST, Flag.FIN

#: way, flags, number and acknowledgement as printed, as they were
Line = tuple[str, Flag, int | None, int | None, int | None, int | None]


def settled(*lines: Line) -> list[Tcp]:
    conversations = Conversations()
    answers = []
    for way, flags, seq, ack, _, _ in lines:
        source, destination = (CLIENT, SERVER) if way == ">" else (SERVER, CLIENT)
        printed = Tcp(source.port or 0, destination.port or 0, flags, seq, ack)
        answers.append(conversations.settle(source, destination, printed))
    return answers


HANDSHAKE: tuple[Line, ...] = (
    (">", S, 3_000_000_000, None, 3_000_000_000, None),
    ("<", S | A, 4_000_000_000, 3_000_000_001, 4_000_000_000, 3_000_000_001),
    (">", A, None, 1, None, 4_000_000_001),
)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(
            (
                *HANDSHAKE,
                ("<", P | A, 1, 1, 4_000_000_001, 3_000_000_001),
                (">", P | A, 1, 42, 3_000_000_001, 4_000_000_042),
                ("<", F | A, 42, 32, 4_000_000_042, 3_000_000_032),
            ),
            id="a conversation from its beginning",
        ),
        pytest.param(
            (
                *HANDSHAKE[:2],
                (">", A, None, 4_000_000_001, None, 4_000_000_001),
                ("<", P | A, 4_000_000_001, 3_000_000_001, 4_000_000_001, 3_000_000_001),
            ),
            id="the same with -S",
        ),
        pytest.param(
            (*HANDSHAKE, (">", R, 3_000_000_001, None, 3_000_000_001, None)),
            id="a reset without acknowledgement is absolute",
        ),
        pytest.param(
            ((">", S, 4_294_967_295, None, 4_294_967_295, None),
             ("<", S | A, 4_294_967_290, 0, 4_294_967_290, 0),
             (">", A, None, 1, None, 4_294_967_291),
             ("<", P | A, 1, 1, 4_294_967_291, 0),
             ("<", P | A, 11, 1, 5, 0)),
            id="numbers wrap",
        ),
        pytest.param(
            (
                (">", S, 3_000_000_000, None, 3_000_000_000, None),
                ("<", R | A, 0, 3_000_000_001, 0, 3_000_000_001),
            ),
            id="refused: the first packet with an acknowledgement is absolute",
        ),
        pytest.param(
            (
                (">", S, 3_000_000_000, None, 3_000_000_000, None),
                (">", A, None, 4_000_000_001, None, 4_000_000_001),
                ("<", R, 4_000_000_001, None, 4_000_000_001, None),
            ),
            id="the answer went another way",
        ),
        pytest.param(
            (
                ("<", P | A, 4_000_000_000, 3_000_000_000, 4_000_000_000, 3_000_000_000),
                (">", P | A, 1, 37, 3_000_000_000, 4_000_000_037),
            ),
            id="picked up in the middle",
        ),
        pytest.param(
            (
                *HANDSHAKE,
                (">", S, 77_000_000, None, 77_000_000, None),
                ("<", S | A, 88_000_000, 77_000_001, 88_000_000, 77_000_001),
                (">", A, None, 1, None, 88_000_001),
            ),
            id="the same ports again",
        ),
    ],
)  # fmt: skip
def test_numbers_become_what_they_were(lines: tuple[Line, ...]) -> None:
    assert [(tcp.seq, tcp.ack) for tcp in settled(*lines)] == [(seq, ack) for *_, seq, ack in lines]
    assert not any(tcp.relative for tcp in settled(*lines))


def test_a_new_syn_without_its_answer_changes_nothing() -> None:
    # The second SYN/ACK took another way; tcpdump goes on counting from the first conversation.
    *_, syn, ack, data = settled(
        *HANDSHAKE,
        (">", S, 77_000_000, None, None, None),
        (">", A, None, 9_000_000, None, None),
        (">", P | A, 1_371_967_297, 9_000_000, None, None),
    )

    assert syn.seq == 77_000_000
    assert ack.ack == 4_009_000_000
    assert (data.seq, data.ack) == ((3_000_000_000 + 1_371_967_297) % 2**32, 4_009_000_000)


def test_a_number_that_fits_neither_reading_stays_unknown() -> None:
    # Only the client's side passes here, and its ports are used twice.
    *_, last = settled(
        (">", S, 3_000_000_000, None, None, None),
        (">", A, None, 4_000_000_001, None, None),
        (">", S, 77_000_000, None, None, None),
        (">", A, None, 2_500_000_000, None, None),
    )

    assert last.relative


def test_numbers_whose_beginning_is_missing_are_marked() -> None:
    first, second = settled((">", P | A, 1, 1, None, None), ("<", A, None, 37, None, None))

    assert (first.relative, first.seq, first.ack) == (True, 1, 1)
    assert (second.relative, second.ack) == (True, 37)


def test_a_text_without_numbers_stays_without() -> None:
    lines: tuple[Line, ...] = tuple((">", flags, None, None, None, None) for flags in (S, A, R))

    assert [(tcp.seq, tcp.ack, tcp.relative) for tcp in settled(*lines)] == [(None, None, False)] * 3


def test_a_syn_without_a_number_forgets_the_conversation_before() -> None:
    *_, last = settled(*HANDSHAKE, (">", S, None, None, None, None), (">", A, None, 1, None, None))

    assert (last.ack, last.relative) == (1, True)


def test_conversations_do_not_mix() -> None:
    conversations = Conversations()
    other = Endpoint(SERVER.address, 23)
    conversations.settle(CLIENT, SERVER, Tcp(17350, 22, S, 3_000_000_000))
    conversations.settle(SERVER, CLIENT, Tcp(22, 17350, S | A, 4_000_000_000, 3_000_000_001))

    assert conversations.settle(CLIENT, other, Tcp(17350, 23, A, ack=1)).relative
    assert conversations.settle(CLIENT, SERVER, Tcp(17350, 22, A, ack=1)).ack == 4_000_000_001
