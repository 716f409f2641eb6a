"""What `ip route get` prints is read, worlds are repeatable, and a changed rule of the model is noticed."""

from random import Random

import pytest

from bothways.conform.route_answer import RouteAnswers, kernel_answers
from bothways.conform.route_draw import RouteQuestion, draw_route_world
from bothways.facts.dump import Dump
from bothways.facts.snapshot import Netns
from bothways.parse.ip_route_text import parse_route_text, parse_rule_text
from bothways.parse.ip_text import parse_addr_text
from bothways.parse.sysctl import parse_sysctl

OUTPUT = r"""192.0.2.9 dev eth0 src 192.0.2.1 uid 0 \    cache
local 192.0.2.1 dev lo src 192.0.2.1 uid 0 \    cache <local>
203.0.113.5 from 192.0.2.9 via 198.51.100.9 dev eth1 \    cache iif eth0
"""
ERRORS = "RTNETLINK answers: No route to host\nCommand failed -:2\n"
QUESTIONS = [
    RouteQuestion("192.0.2.9"),
    RouteQuestion("203.0.113.200"),
    RouteQuestion("192.0.2.1"),
    RouteQuestion("203.0.113.5", "192.0.2.9", "eth0"),
]


def test_answers_and_errors_are_put_in_the_order_of_the_questions() -> None:
    assert kernel_answers(QUESTIONS, OUTPUT, ERRORS) == [
        "unicast eth0 192.0.2.9 192.0.2.1",
        "No route to host",
        "local",
        "unicast eth1 198.51.100.9",
    ]


@pytest.mark.parametrize(("questions", "output"), [(3, OUTPUT), (4, "")])
def test_answers_that_do_not_add_up_are_refused(questions: int, output: str) -> None:
    with pytest.raises(ValueError, match="answer"):
        kernel_answers(QUESTIONS[:questions], output, ERRORS)


def test_a_seed_gives_the_same_world() -> None:
    one, other = (draw_route_world(Random(5), 20) for _ in range(2))  # noqa: S311 (repeatable on purpose)

    assert one == other
    assert {version for version, _ in one.commands} == {4, 6}
    assert len(one.questions) == 40


NETNS = Netns(
    "here",
    "blue",
    devices=Dump(
        parse_addr_text(
            "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 state UNKNOWN\n    inet 127.0.0.1/8 scope host lo\n"
            "2: eth0: <UP,LOWER_UP> mtu 1500 state UP\n    inet 192.0.2.1/24 scope global eth0\n"
            "    inet6 2001:db8:1::1/64 scope global\n"
            "3: eth1: <UP,LOWER_UP> mtu 1500 state UP\n    inet 198.51.100.1/24 scope global eth1\n",
            file="addr",
        ).rows,
        "addr",
    ),
    routes=Dump(
        parse_route_text(
            "192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.1\n"
            "198.51.100.0/24 dev eth1 proto kernel scope link src 198.51.100.1\n"
            "203.0.113.0/24 tos 0x10 via 198.51.100.9 dev eth1\n"
            "203.0.113.0/24 via 192.0.2.9 dev eth0\n"
            "unreachable 203.0.113.128/25\n"
            "default via 198.51.100.9 dev eth1 table 7\n"
            "2001:db8:1::/64 dev eth0 proto kernel metric 256 pref medium\n"
            "2001:db8:9::/64 from 2001:db8:1::/64 via 2001:db8:1::9 dev eth0 metric 1024 pref medium\n"
            "2001:db8:9::/64 via 2001:db8:1::8 dev eth0 metric 1024 pref medium\n",
            file="route",
        ).rows,
        "route",
    ),
    rules=Dump(
        parse_rule_text(
            "0: from all lookup local\n"
            "90: from all ipproto tcp dport 22 lookup 7\n"
            "100: from all uidrange 0-0 to 100.64.0.0/10 unreachable\n"
            "200: from all lookup main suppress_prefixlength 0\n"
            "32766: from all lookup main\n",
            file="rule",
        ).rows,
        "rule",
    ),
    rules6=Dump(
        parse_rule_text("0: from all lookup local\n32766: from all lookup main\n", file="rule6").rows, "r"
    ),
    sysctls=Dump(
        parse_sysctl(
            "net.ipv4.conf.eth0.rp_filter = 1\n"
            "net.ipv4.conf.eth0.forwarding = 1\n"
            "net.ipv4.conf.eth1.forwarding = 0\n",
            file="sysctl",
        ).rows,
        "sysctl",
    ),
)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (RouteQuestion("203.0.113.5"), "unicast eth0 192.0.2.9 192.0.2.1"),
        (RouteQuestion("203.0.113.5", tos=0x10), "unicast eth1 198.51.100.9 198.51.100.1"),
        (RouteQuestion("203.0.113.200"), "No route to host"),
        (RouteQuestion("8.8.8.8"), "Network is unreachable"),
        (RouteQuestion("8.8.8.8", protocol="tcp", dport=22), "unicast eth1 198.51.100.9 198.51.100.1"),
        (RouteQuestion("100.64.0.1"), "Network is unreachable"),
        (RouteQuestion("203.0.113.5", "192.0.2.7", "eth0"), "unicast eth0 192.0.2.9"),
        (RouteQuestion("203.0.113.5", "198.51.100.7", "eth0"), "Invalid argument"),
        (RouteQuestion("203.0.113.5", "198.51.100.7", "eth1"), "No route to host"),
        (RouteQuestion("192.0.2.1", "127.0.0.1", "eth0"), "Invalid argument"),
        (RouteQuestion("2001:db8:9::1", "2001:db8:1::1"), "unicast eth0 2001:db8:1::9 2001:db8:1::1"),
        (RouteQuestion("2001:db8:9::1", "2001:db8:5::1", "eth0"), "Network is unreachable"),
    ],
)
def test_the_model_answers_as_a_kernel_did(question: RouteQuestion, answer: str) -> None:
    assert RouteAnswers(NETNS).ask(question) == answer
