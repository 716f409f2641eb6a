from itertools import product

import pytest

from bothways.facts.address import Endpoint, address
from bothways.facts.packet import Flag, Tcp
from bothways.model.world.endpoint import REACTIONS, End, EndState, Heard, Reaction, heard

CLIENT, SERVER = Endpoint(address("192.0.2.1"), 40000), Endpoint(address("192.0.2.2"), 22)


def test_every_state_reacts_to_everything() -> None:
    assert set(REACTIONS) == set(product(EndState, Heard))


@pytest.mark.parametrize(
    ("flags", "length", "kind"),
    [
        (Flag.SYN, 0, Heard.SYN),
        (Flag.SYN | Flag.ACK, 0, Heard.SYNACK),
        (Flag.ACK, 0, Heard.ACK),
        (Flag.PSH | Flag.ACK, 5, Heard.DATA),
        (Flag.FIN | Flag.ACK, 0, Heard.FIN),
        (Flag.RST, 0, Heard.RST),
        (Flag.RST | Flag.ACK | Flag.SYN, 0, Heard.RST),
    ],
)
def test_segments_are_classified(flags: Flag, length: int, kind: Heard) -> None:
    assert heard(Tcp(1, 2, flags, length=length)) is kind


def client() -> End:
    end = End("client", CLIENT, SERVER, EndState.SYN_SENT, seq=100)
    end.segment(Flag.SYN)
    return end


def test_handshake_opens_the_client() -> None:
    end = client()

    assert end.react(Tcp(22, 40000, Flag.SYN | Flag.ACK, seq=700, ack=101)) is Reaction.OPEN
    assert (end.state, end.ack) == (EndState.ESTABLISHED, 701)


def test_a_synack_for_another_syn_does_not_open() -> None:
    end = client()

    assert end.react(Tcp(22, 40000, Flag.SYN | Flag.ACK, seq=700, ack=55)) is Reaction.IGNORE
    assert end.state is EndState.SYN_SENT


@pytest.mark.parametrize(
    ("state", "ended"), [(EndState.SYN_SENT, Reaction.REFUSED), (EndState.ESTABLISHED, Reaction.RESET)]
)
def test_a_rst_ends_it(state: EndState, ended: Reaction) -> None:
    end = client()
    end.state = state
    end.react(Tcp(22, 40000, Flag.RST, seq=1))

    assert (end.state, end.ended) == (EndState.CLOSED, ended)


def test_sequence_numbers_wrap() -> None:
    end = End("client", CLIENT, SERVER, EndState.ESTABLISHED, seq=0xFFFFFFFF)

    assert end.segment(Flag.PSH | Flag.ACK, 4).tcp is not None
    assert end.seq == 3
