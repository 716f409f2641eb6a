"""Chains, jumps, policies and targets, held to small tables as `iptables-save` prints them."""

from pathlib import Path

import pytest
from linux_samples import Told, device, did, frame, netns, route, stack, tables

from bothways.facts.choice import Freedom
from bothways.facts.step import Did
from bothways.model.linux.iptables.uses import tracks_by_rule
from bothways.model.linux.stack import Passage

OUT, IN = device("out0", "192.0.2.1/24", number=2), device("in0", "10.0.0.1/24", number=3)
ROUTES = (
    route("192.0.2.0/24 dev out0"),
    route("10.0.0.0/24 dev in0"),
    route("192.0.2.1 dev out0", table="local", kind="local"),
)
ORACLES = Path(__file__).parents[3].parent / "shared" / "oracles" / "iptables" / "dumps"


def forward(rules: str, told: Told | None = None, *, flags: str = "S", chains: str = "") -> Passage:
    """Send a segment through a FORWARD chain whose policy accepts."""
    text = f"*filter\n:FORWARD ACCEPT [0:0]\n{chains}{rules}\nCOMMIT\n"
    space = netns(OUT, IN, routes=ROUTES, iptables=text, sysctls={})
    return stack(space, told).receive("out0", frame("192.0.2.9:4000", "10.0.0.5:22", flags, to=OUT), 0)


def passes(passage: Passage) -> bool:
    return bool(passage.transmissions)


CHAINS = ":one - [0:0]\n:two - [0:0]\n"


@pytest.mark.parametrize(
    ("rules", "through"),
    [
        ("", True),
        ("-A FORWARD -j DROP", False),
        ("-A FORWARD -j ACCEPT\n-A FORWARD -j DROP", True),
        ("-A FORWARD -p udp -j DROP", True),
        ("-A FORWARD -j one\n-A one -j DROP", False),
        ("-A FORWARD -j one\n-A FORWARD -j DROP\n-A one -j RETURN\n-A one -j ACCEPT", False),
        ("-A FORWARD -j one\n-A FORWARD -j DROP\n-A one -j ACCEPT", True),
        (
            "-A FORWARD -j one\n-A FORWARD -j DROP\n-A one -j two\n-A one -j ACCEPT\n-A two -p udp -j DROP",
            True,
        ),
        ("-A FORWARD -g one\n-A FORWARD -j DROP\n-A one -p udp -j DROP", True),
        (
            "-A FORWARD -j one\n-A FORWARD -j DROP\n-A one -g two\n-A one -j ACCEPT\n-A two -p udp -j ACCEPT",
            False,
        ),
        ("-A FORWARD -j RETURN\n-A FORWARD -j DROP", True),
        ("-A FORWARD -j LOG --log-prefix x\n-A FORWARD -p tcp", True),
    ],
)
def test_jumps_gotos_and_returns(rules: str, *, through: bool) -> None:
    assert passes(forward(rules, chains=CHAINS)) is through


def test_only_what_decided_is_told_with_its_chains() -> None:
    passage = forward(
        "-A FORWARD -p udp -j DROP\n-A FORWARD -j one\n-A one -p icmp -j DROP\n-A one -j DROP", chains=CHAINS
    )
    steps = [s for s in passage.steps if s.function == "ipt_do_table"]

    assert [(s.did, s.cell, s.evidence[0].text) for s in steps] == [
        (Did.DROPPED, "filter/FORWARD/one", "-A one -j DROP")
    ]


def test_a_policy_drops_with_its_line() -> None:
    text = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\nCOMMIT\n"
    space = netns(OUT, IN, routes=ROUTES, iptables=text, sysctls={})
    passage = stack(space).receive("out0", frame("192.0.2.9:4000", "10.0.0.5:22", to=OUT), 0)

    assert passage.steps[-1].did is Did.DROPPED
    assert passage.steps[-1].evidence[0].text == ":FORWARD DROP [0:0]"


def test_chains_that_lead_in_a_circle_end() -> None:
    passage = forward("-A FORWARD -j one\n-A one -j two\n-A two -j one", chains=CHAINS)

    assert passes(passage)
    assert any("circle" in text for text in passage.unknown)


# -- what cannot be told ---------------------------------------------------------------------------------


def test_a_match_that_is_not_modelled_forks_and_is_told() -> None:
    rule = "-A FORWARD -m set --match-set friends src -j DROP"
    told = Told()
    likely = forward(rule, told)
    other = forward(rule, Told({"rule": "the rule matches"}))

    assert (passes(likely), passes(other)) == (True, False)
    assert set(told.freedoms.values()) == {Freedom.UNKNOWN}
    assert any("set.match-set" in text and "friends" in text for text in likely.unknown)


@pytest.mark.parametrize(
    "rule",
    [
        "-A FORWARD -m set --match-set friends src -j LOG",
        "-A FORWARD -p udp -m set --match-set friends src -j DROP",
        "-A FORWARD -m set --match-set friends src -j one",
        "-A FORWARD -m limit --limit 3/min -j LOG",
        "-A FORWARD -m set --match-set friends src",
    ],
)
def test_a_rule_that_cannot_matter_is_no_doubt(rule: str) -> None:
    told = Told()
    passage = forward(rule, told, chains=CHAINS)

    assert (told.asked, passage.unknown) == ({}, ())


def test_one_answer_holds_for_a_connection_where_only_addresses_count() -> None:
    rule = "-A FORWARD -m set --match-set friends src -j DROP"
    told = Told()
    forward(rule, told, flags="S")
    forward(rule, told, flags=".")
    assert len(told.asked) == 1
    told = Told()
    forward("-A FORWARD -m recent --name x --rcheck --rsource -j DROP", told, flags="S")
    forward("-A FORWARD -m recent --name x --rcheck --rsource -j DROP", told, flags=".")
    assert len(told.asked) == 2


def test_chance_is_free_and_certainty_is_none() -> None:
    told = Told()
    forward("-A FORWARD -m statistic --mode random --probability 0.5 -j DROP", told)
    assert set(told.freedoms.values()) == {Freedom.FREE}
    told = Told()
    assert not passes(forward("-A FORWARD -m statistic --mode random --probability 1.0 -j DROP", told))
    assert told.asked == {}


def test_a_limit_is_most_likely_kept() -> None:
    told = Told()
    passage = forward("-A FORWARD -m limit --limit 3/min -j ACCEPT\n-A FORWARD -j DROP", told)

    assert passes(passage)
    assert len(told.asked) == 1


def test_a_target_that_somebody_else_decides_forks() -> None:
    told = Told()
    assert passes(forward("-A FORWARD -j NFQUEUE --queue-num 1", told))
    assert not passes(forward("-A FORWARD -j NFQUEUE --queue-num 1", Told({"rule": "dropped"})))
    assert set(told.freedoms.values()) == {Freedom.UNKNOWN}


def test_a_filtered_view_is_told() -> None:
    view = tables("*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n", partial="grep 10.0.0")
    space = netns(OUT, IN, routes=ROUTES, iptables=view, sysctls={})
    passage = stack(space).receive("out0", frame("192.0.2.9:4000", "10.0.0.5:22", to=OUT), 0)

    assert any("filtered view (grep 10.0.0)" in text for text in passage.unknown)


# -- targets ---------------------------------------------------------------------------------------------


def marked(rules: str, hook: str = "PREROUTING") -> str:
    return f"*mangle\n:{hook} ACCEPT [0:0]\n{rules}\nCOMMIT\n"


@pytest.mark.parametrize(
    ("options", "mark"),
    [
        ("--set-mark 0x5", 0x5),
        ("--set-xmark 0x2/0xffff", 0xF0002),
        ("--set-mark 0x1/0xf", 0xF00F1),
        ("--set-mark 0x110/0xf", 0xF01F0),
        ("--set-xmark 0x0/0x0", 0xF00F0),
        ("--and-mark 0xf0", 0xF0),
        ("--or-mark 0x1", 0xF00F1),
        ("--xor-mark 0xf0", 0xF0000),
    ],
)
def test_marks(options: str, mark: int) -> None:
    rules = (
        f"-A PREROUTING -j MARK --set-mark 0xf00f0\n-A PREROUTING -j MARK {options}\n"
        f"-A PREROUTING -m mark ! --mark {mark:#x} -j DROP"
    )
    space = netns(OUT, IN, routes=ROUTES, iptables=marked(rules), sysctls={})

    assert passes(stack(space).receive("out0", frame("192.0.2.9:4000", "10.0.0.5:22", to=OUT), 0))


def test_a_mark_is_saved_to_the_connection_and_restored_for_the_answer() -> None:
    rules = (
        "-A PREROUTING -i out0 -j MARK --set-xmark 0x70000/0xffff0000\n"
        "-A PREROUTING -i out0 -j CONNMARK --save-mark --nfmask 0xffff0000 --ctmask 0xffff0000\n"
        "-A PREROUTING -i in0 -j CONNMARK --restore-mark --nfmask 0xffff0000 --ctmask 0xffff0000\n"
        "-A PREROUTING -i in0 -m mark ! --mark 0x70000/0xffff0000 -j DROP"
    )
    space = stack(netns(OUT, IN, routes=ROUTES, iptables=marked(rules), sysctls={}))
    space.receive("out0", frame("192.0.2.9:4000", "10.0.0.5:22", "S", to=OUT, seq=1), 0)
    answer = space.receive("in0", frame("10.0.0.5:22", "192.0.2.9:4000", "S.", to=IN, seq=9, ack=2), 1)

    assert passes(answer)
    assert "mark 0x0 becomes 0x70000" in did(answer, Did.CHANGED).reason


def test_a_connmark_of_a_packet_without_a_connection_never_matches() -> None:
    rules = "-A PREROUTING -m connmark ! --mark 0x1 -j DROP\n-A PREROUTING -m connmark --mark 0x0 -j DROP"
    space = stack(netns(OUT, IN, routes=ROUTES, iptables=marked(rules), sysctls={}))

    assert passes(space.receive("in0", frame("10.0.0.5:22", "192.0.2.9:4000", "S.", to=IN, ack=2), 0))
    assert not passes(space.receive("out0", frame("192.0.2.9:4000", "10.0.0.5:22", "S", to=OUT), 0))


NAT = "*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{}\nCOMMIT\n"


def test_masquerade_takes_the_address_of_the_device_it_leaves_by() -> None:
    space = netns(
        OUT, IN, routes=ROUTES, iptables=NAT.format("-A POSTROUTING -o out0 -j MASQUERADE"), sysctls={}
    )
    passage = stack(space).receive("in0", frame("10.0.0.5:4000", "192.0.2.9:22", to=IN), 0)

    assert [str(t.packet.source) for t in passage.transmissions] == ["192.0.2.1:4000"]


def test_redirect_takes_the_first_address_of_the_device_it_came_in_at() -> None:
    rule = "-A PREROUTING -d 169.254.169.254/32 -i in+ -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 9697"
    ss = "LISTEN 0 5 0.0.0.0:9697 0.0.0.0:*"
    space = netns(OUT, IN, routes=ROUTES, iptables=NAT.format(rule), ss=ss, sysctls={})
    space_routes = (*ROUTES, route("10.0.0.1 dev in0", table="local", kind="local"))
    space = netns(OUT, IN, routes=space_routes, iptables=NAT.format(rule), ss=ss, sysctls={})
    passage = stack(space).receive("in0", frame("10.0.0.5:4000", "169.254.169.254:80", to=IN), 0)

    assert [str(p.destination) for p in passage.delivered] == ["10.0.0.1:9697"]


def test_the_input_device_is_not_told_in_postrouting_before_5_7() -> None:
    rules = "-A POSTROUTING -j x\n-A x ! -i out0 -j DROP"
    text = f"*mangle\n:POSTROUTING ACCEPT [0:0]\n:x - [0:0]\n{rules}\nCOMMIT\n"
    space = netns(OUT, IN, routes=ROUTES, iptables=text, sysctls={})
    packet = frame("192.0.2.9:4000", "10.0.0.5:22", to=OUT)

    assert passes(stack(space, kernel="6.1.0").receive("out0", packet, 0))
    assert not passes(stack(space, kernel="4.18.0-553.el8").receive("out0", packet, 0))


@pytest.mark.parametrize(
    ("rule", "needs"),
    [
        ("-A INPUT -p tcp -j DROP", False),
        ("-A INPUT -m conntrack --ctstate NEW -j ACCEPT", True),
        ("-A INPUT -m state --state NEW -j ACCEPT", True),
        ("-A INPUT -m connmark --mark 0x1 -j ACCEPT", True),
        ("-A INPUT -j CONNMARK --save-mark", True),
        ("-A INPUT -j NOTRACK", False),
        ("-A INPUT -j CT --notrack", False),
        ("-A INPUT -j CT --zone 5", True),
        ("-A INPUT -j MASQUERADE", True),
    ],
)
def test_which_rules_need_the_tracker(rule: str, *, needs: bool) -> None:
    assert tracks_by_rule(tables(f"*filter\n:INPUT ACCEPT [0:0]\n{rule}\nCOMMIT\n")) is needs


# -- matches ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "matches"),
    [
        ("-s 192.0.2.0/24", True),
        ("! -s 192.0.2.0/24", False),
        ("-d 10.0.0.5/32", True),
        ("-i out0", True),
        ("-i out+", True),
        ("-o in0", True),
        ("! -o in0", False),
        ("-p tcp", True),
        ("! -p tcp", False),
        ("-f", False),
        ("! -f", True),
        ("-p tcp -m tcp --dport 20:23", True),
        ("-p tcp -m tcp ! --dport 22", False),
        ("-p tcp -m tcp --sport 4000", True),
        ("-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN", True),
        ("-p tcp -m tcp --tcp-flags SYN,ACK SYN,ACK", False),
        ("-p tcp -m multiport --dports 80,22,8000:9000", True),
        ("-p tcp -m multiport ! --dports 80,443", True),
        ("-p tcp -m multiport --ports 4000", True),
        ("-p icmp -m icmp --icmp-type 8", False),
        ("-m mark --mark 0x0", True),
        ("-m mark --mark 0x1/0x1", False),
        ("-m conntrack --ctstate NEW", True),
        ("-m conntrack --ctstate RELATED,ESTABLISHED", False),
        ("-m conntrack ! --ctstate DNAT", True),
        ("-m conntrack --ctstate INVALID,UNTRACKED", False),
        ("-m state --state NEW", True),
        ("-m conntrack --ctorigdst 10.0.0.5", True),
        ("-m conntrack --ctorigdstport 22", True),
        ("-m conntrack --ctproto 17", False),
        ("-m conntrack --ctdir ORIGINAL", True),
        ("-m conntrack --ctstatus ASSURED", False),
        ("-m addrtype --dst-type LOCAL", False),
        ("-m addrtype --src-type UNICAST", True),
        ("-m addrtype ! --dst-type LOCAL", True),
        ("-m mac --mac-source 02:00:00:00:00:99", True),
        ("-m mac ! --mac-source 02:00:00:00:00:99", False),
        ("-m physdev --physdev-in x", False),
        ("-m physdev ! --physdev-is-bridged", True),
        ("-m physdev --physdev-is-bridged", False),
        ("-m iprange --src-range 192.0.2.5-192.0.2.20", True),
        ("-m iprange ! --dst-range 10.0.0.0-10.0.0.4", True),
        ("-m comment --comment hello", True),
        ("-m ttl --ttl-eq 63", True),
        ("-m ttl --ttl-gt 63", False),
        ("-m length --length 40", True),
        ("-m pkttype --pkt-type unicast", True),
        ("-m owner --uid-owner 0", False),
        ("-m policy --dir in --pol none", True),
        ("-m policy --dir in --pol ipsec", False),
    ],
)
def test_matches(condition: str, *, matches: bool) -> None:
    told = Told()
    passage = forward(f"-A FORWARD {condition} -j DROP", told)

    assert passes(passage) is not matches
    assert (told.asked, passage.unknown) == ({}, ())


@pytest.mark.parametrize(("condition", "matches"), [("--loose", True), ("", True), ("--invert", False)])
def test_rpfilter(condition: str, *, matches: bool) -> None:
    text = f"*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m rpfilter {condition} -j DROP\nCOMMIT\n"
    space = netns(OUT, IN, routes=ROUTES, iptables=text, sysctls={})

    assert (
        passes(stack(space).receive("out0", frame("192.0.2.9:4000", "10.0.0.5:22", to=OUT), 0)) is not matches
    )


def _dumps() -> list[Path]:
    return sorted(p for p in ORACLES.iterdir() if p.is_file())[::6] if ORACLES.is_dir() else []


@pytest.mark.shared
def test_no_dump_of_the_field_breaks_the_walk() -> None:
    walked = 0
    for path in _dumps():
        rules = tables(path.read_text(errors="replace"))
        space = netns(OUT, IN, routes=ROUTES, iptables=rules, sysctls={})
        for last in (0, -1):
            passage = stack(space, Told(last=last)).receive(
                "out0", frame("192.0.2.9:4000", "10.0.0.5:22", to=OUT), 0
            )
            assert passage.steps
            sent = stack(space, Told(last=last)).send(frame("192.0.2.1:4000", "10.0.0.5:22"), 0)
            assert sent.steps
            walked += 1
    assert walked
