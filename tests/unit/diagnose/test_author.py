from seen_samples import SERVER, connection, packet, sighting, trajectory

from bothways.diagnose.author import Origin, origin_of
from bothways.facts.address import address, mac
from bothways.facts.device import Device, InterfaceAddress
from bothways.facts.dump import Dump
from bothways.facts.packet import Packet
from bothways.facts.sighting import Direction, Tap
from bothways.facts.snapshot import Host, Netns, Snapshot
from bothways.facts.span import Span
from bothways.facts.trajectory import Way

OUTER, INNER, STRANGE = mac("02:0:0:0:0:1"), mac("02:0:0:0:0:2"), mac("02:0:0:0:0:99")
OUT, IN = Tap("net", "router", "outer"), Tap("net", "router", "inner")
SPAN = Span("addr.json", 1)
ROUTER = Netns(
    "net",
    "router",
    devices=Dump(
        (
            Device("outer", 2, OUTER, SPAN, addresses=(InterfaceAddress(SERVER.address, 32, SPAN),)),
            Device("inner", 3, INNER, SPAN, addresses=(InterfaceAddress(address("10.0.0.1"), 24, SPAN),)),
        ),
        "addr.json",
    ),
)
SITE = Snapshot({"net": Host("net", {"router": ROUTER})})
NOTHING = Snapshot({})

SYN = trajectory(
    Way.ORIGINAL,
    [sighting(packet(Way.ORIGINAL, "S"), OUT), sighting(packet(Way.ORIGINAL, "S"), IN, at=1)],
)


def rst(ttl: int | None = None, hw: str = "") -> Packet:
    return packet(Way.REPLY, "R", ttl=ttl, mac=mac(hw) if hw else mac("0:0:0:0:0:0"))


def plain(ttl: int | None = None) -> Packet:
    return packet(Way.REPLY, "R", ttl=ttl)


def origin(seen: Packet, *taps: Tap, site: Snapshot = SITE, way: Direction | None = None) -> Origin:
    one = trajectory(Way.REPLY, [sighting(seen, tap, at=9 + n, direction=way) for n, tap in enumerate(taps)])
    found = origin_of(one, connection(SYN, one), site)
    assert found is not None
    return found


def test_a_mac_and_a_fresh_ttl_name_the_sender() -> None:
    found = origin(rst(64, OUTER), OUT)

    assert (found.host, found.netns, found.device, found.sure) == ("net", "router", "outer", True)


def test_a_lowered_ttl_says_that_it_may_have_been_passed_on_although_the_address_is_held_here() -> None:
    assert not origin(rst(63, OUTER), OUT).sure


def test_without_a_ttl_the_silent_tap_at_the_other_side_tells() -> None:
    assert origin(rst(None, OUTER), OUT).sure


def test_an_unknown_mac_is_a_station_outside() -> None:
    found = origin(rst(64, STRANGE), OUT)

    assert (found.host, found.sure) == (None, False)


def test_text_alone_names_the_namespace_whose_other_side_did_not_see_it() -> None:
    found = origin(plain(), OUT, site=NOTHING)

    assert (found.host, found.netns, found.device, found.sure) == ("net", "router", "outer", True)


def test_text_alone_is_not_sure_where_both_sides_saw_it() -> None:
    assert not origin(plain(), IN, OUT, site=NOTHING).sure


def test_an_address_that_is_not_held_where_it_was_first_seen_came_from_elsewhere() -> None:
    bare = Snapshot({"net": Host("net", {"router": Netns("net", "router", devices=Dump((), "addr.json"))})})

    assert origin(plain(), IN, OUT, site=bare).host is None


def test_what_came_in_was_sent_by_somebody_else() -> None:
    assert origin(plain(), OUT, site=NOTHING, way=Direction.IN).host is None
