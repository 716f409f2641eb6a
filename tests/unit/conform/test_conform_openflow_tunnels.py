"""
Pipelines around tunnels: what they draw, and what a switch with routes of its own said of them.

The recording is our own: random pipelines through Open vSwitch 3.1.0, and small ones, each for one rule.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from bothways.conform.openflow_datapath import NotFollowedError, follow
from bothways.conform.openflow_recording import read_traces
from bothways.conform.openflow_replay import replay_traces
from bothways.model.openflow import egress
from bothways.model.openflow.field import FIELDS, KNOWN, Field
from bothways.model.openflow.key import Key

RECORDED = Path(__file__).parent / "data" / "openflow-tunnels.jsonl.gz"
with gzip.open(RECORDED, "rt", encoding="utf-8") as lines:
    KINDS = Counter(json.loads(line)["class"] for line in lines)
PUSH = (
    "tnl_push(tnl_port(6081),header(size=58,type=5,eth(dst=02:00:00:00:01:01,src=02:00:00:00:00:01,"
    "dl_type=0x0800),ipv4(src=172.31.0.1,dst=172.31.0.2,proto=17,tos=0,ttl=64,frag=0x4000),"
    "udp(src=0,dst=6081,csum=0x0),geneve(crit,vni=0x4d,options({class=0x102,type=0x80,len=4,0x9}))),out_port(2))"
)
OPTIONS = {(0x102, 0x80): "tun_metadata0"}


def wrong() -> set[str]:
    """Pipelines of the recording over which model and switch disagree."""
    outcome = replay_traces(read_traces(RECORDED), keep=1000)
    return {each.case.name.partition("/")[0] for each in outcome.first}


def test_the_model_says_what_the_switch_does_or_nothing() -> None:
    outcome = replay_traces(read_traces(RECORDED))

    assert outcome.cases > 250
    assert ([each.case.name for each in outcome.first], outcome.unknown) == ([], KINDS["unknown"])


def test_a_copy_that_is_pushed_has_the_key_and_the_options() -> None:
    (copy,), _ = follow(f"clone({PUSH},1)", {"eth_src": 5, "tun_src": 7}, None, OPTIONS)

    assert copy.port == "6081"
    assert copy.fields == {"eth_src": 5, "tun_id": 0x4D, "tun_dst": 0xAC1F0002, "tun_metadata0": 9}


def test_what_is_pushed_twice_is_not_followed() -> None:
    with pytest.raises(NotFollowedError, match="a tunnel within a tunnel"):
        follow(f"{PUSH},1,{PUSH},1", {}, None, OPTIONS)


def test_an_option_that_is_absent_and_taken_for_zero_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Key.get
    monkeypatch.setattr(
        Key, "get", lambda key, name: (1, KNOWN) if name.startswith("has_") else original(key, name)
    )

    assert "zero-is-not-absent" in wrong()


def test_options_that_stay_behind_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Key, "options", lambda _key: {})

    assert "options-go-along" in wrong()


def test_a_key_that_is_wider_than_its_header_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "_KEY_BITS", {})

    assert "keys-are-as-wide-as-their-header" in wrong()


def test_a_header_that_is_set_back_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "_leave_outside", lambda *_args: frozenset())

    assert "own-end-leaves-header" in wrong()


def test_an_end_that_is_taken_for_another_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "_is", lambda _came_to, _remote: False)

    assert "comes-back-to-the-end-it-is-for" in wrong()


def test_a_later_fragment_without_a_type_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    unlike = replace(FIELDS["icmp_type"], needs=FIELDS["tcp_flags"].needs)
    monkeypatch.setitem(cast("dict[str, Field]", FIELDS), "icmp_type", unlike)

    assert "later-fragments-have-a-type" in wrong()
