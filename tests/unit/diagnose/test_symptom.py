import pytest
from seen_samples import talk, without_numbers

from bothways.diagnose.evidence import Ages
from bothways.diagnose.symptom import read_story, symptoms
from bothways.facts.diagnosis import Fate

HELLO = ("> S", "< S.", "> .")

STORIES = {
    "refused": (("> S", "< R."), Fate.REFUSED),
    "reset after the handshake": ((*HELLO, "< R"), Fate.RESET),
    "reset, though the SYN/ACK was not captured": (("> S", "> .", "< R"), Fate.RESET),
    "reset after data": ((*HELLO, "< P. 21", "> .", "< R."), Fate.RESET),
    "a RST after FIN only tidies up": ((*HELLO, "< P. 21", "> .", "> F.", "< R"), Fate.WORKS),
    "no answer": (("> S", "> S again", "> S again"), Fate.TIMEOUT),
    "the SYN/ACK is never acknowledged": (("> S", "< S.", "> S again", "< S. again"), Fate.TIMEOUT),
    "a SYN/ACK goes out, and no tap stands where its answer would pass": (("> S", "< S."), Fate.UNKNOWN),
    "a SYN/ACK goes out twice and the client resets it": (("> S", "< S.", "< S. again", "> R"), Fate.RESET),
    "a single SYN": (("> S",), Fate.UNKNOWN),
    "the client objects to a SYN/ACK that it cannot place": (
        ("> S", "< S.", "> R", "> S again"),
        Fate.TIMEOUT,
    ),
    "data both ways": ((*HELLO, "< P. 21", "> P. 30"), Fate.WORKS),
    "data one way and acknowledged": ((*HELLO, "> P. 30", "< ."), Fate.WORKS),
    "opened and closed": ((*HELLO, "> F.", "< F."), Fate.WORKS),
    "the server's data is sent again and again": (
        (*HELLO, "< P. 21", "< P. 21 again", "< P. 21 again"),
        Fate.STALL,
    ),
    "small segments pass, the large one does not": (
        (*HELLO, "< P. 21", "> P. 30", "< .", "< P. 1400", "< P. 1400 again"),
        Fate.STALL,
    ),
    "a lost segment that got through the second time": (
        (*HELLO, "> P. 30", "> P. 30 again", "< .", "< P. 9", "> ."),
        Fate.WORKS,
    ),
    "the client hangs up and nobody hears it": (
        (*HELLO, "< S. again", "> F.", "< S. again", "> F. again"),
        Fate.STALL,
    ),
    "the client resets it itself": ((*HELLO, "> R"), Fate.RESET),
    "the client has what it wants and aborts": ((*HELLO, "> P. 30", "< P. 21", "> R"), Fate.WORKS),
    "a handshake and nothing more": (HELLO, Fate.UNKNOWN),
}


@pytest.mark.parametrize(("said", "fate"), STORIES.values(), ids=STORIES)
def test_a_fate_is_read(said: tuple[str, ...], fate: Fate) -> None:
    assert read_story(talk(*said)).fate is fate


@pytest.mark.parametrize(("said", "fate"), STORIES.values(), ids=STORIES)
def test_a_fate_is_read_from_text_without_numbers(said: tuple[str, ...], fate: Fate) -> None:
    story = read_story(without_numbers(talk(*said)))

    # Whether the answer that came later was for the last data, only numbers tell.
    assert story.fate in {fate, Fate.UNKNOWN} or "P." in " ".join(said)


def test_an_old_acknowledgement_does_not_take_the_data() -> None:
    assert (
        read_story(talk(*HELLO, "< P. 21", "> .", "< P. 9", "< P. 9 again", "> . stale")).fate is Fate.STALL
    )


def test_the_rst_that_the_client_received_outranks_its_own() -> None:
    story = read_story(talk(*HELLO, "< R", "> R"))

    assert story.reset is not None
    assert story.rst is story.reset
    assert story.withdrawn is not None


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (("> S", "< R."), "asked 203.0.113.7:22 for a connection and received a RST"),
        ((*HELLO, "< R"), "was connected to 203.0.113.7:22 and received a RST"),
        ((*HELLO, "> R."), "reset the connection itself"),
        ((*HELLO, "> R"), "what ended it was not captured"),
        (("> S", "> S again"), "received no answer"),
        (("> S", "< S.", "< S. again"), "never acknowledged"),
    ],
)
def test_what_was_felt_is_said(said: tuple[str, ...], words: str) -> None:
    (symptom,) = symptoms(read_story(talk(*said)), Ages())

    assert words in symptom.text
    assert symptom.evidence


def test_nothing_is_felt_where_it_works() -> None:
    assert symptoms(read_story(talk(*HELLO, "< P. 21", "> P. 30")), Ages()) == ()


def test_a_client_that_no_longer_knows_the_connection_did_not_end_it() -> None:
    story = read_story(talk(*HELLO, "< S. again", "> R"))

    assert story.forgotten
    assert story.made is None
    (symptom,) = symptoms(story, Ages())
    assert "not captured" in symptom.text


@pytest.mark.parametrize(("last", "maker"), [("> R.", "withdrawn"), ("< R", "reset"), ("< R.", "reset")])
def test_a_rst_that_ended_the_connection_has_an_author(last: str, maker: str) -> None:
    story = read_story(talk(*HELLO, last))

    assert not story.forgotten
    assert story.made is getattr(story, maker)
