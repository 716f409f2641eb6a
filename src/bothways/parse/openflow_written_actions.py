"""
Actions in the normal form, in the words of one OpenFlow version.

``set_field`` is ``mod_dl_src`` and its like in 1.0 and 1.1 where these have one, and ``load`` otherwise;
``goto_table`` is ``resubmit`` in 1.0. Source: ``format_SET_FIELD`` and its neighbours in
``lib/ofp-actions.c``; ovs-actions(7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from bothways.facts.openflow import Action
from bothways.parse.openflow_fields import FIELDS, code_of
from bothways.parse.openflow_lex import Piece, cut, keyed
from bothways.parse.openflow_written_bits import part_text, sharp
from bothways.parse.openflow_written_learn import learn_text
from bothways.parse.openflow_written_match import port_text, written_value

__all__ = ["written_actions"]

_CHUNK: Final = 64
_TAG, _TAG_AND_ID = 0x1000, 0x1FFF
_OLD: Final[Mapping[str, str]] = {
    "eth_src": "mod_dl_src", "eth_dst": "mod_dl_dst", "nw_src": "mod_nw_src", "nw_dst": "mod_nw_dst",
    "nw_tos": "mod_nw_tos", "tp_src": "mod_tp_src", "tp_dst": "mod_tp_dst",
}  # fmt: skip
_WORDS: Final[Mapping[str, str]] = {
    "in_port": "IN_PORT", "normal": "NORMAL", "flood": "FLOOD", "all": "ALL", "table": "TABLE",
    "none": "NONE", "local": "LOCAL",
}  # fmt: skip


def written_actions(actions: Iterable[Action], version: int) -> str:
    """
    A list of actions; one that does nothing drops.

    :param version: minor number of the OpenFlow version whose words are taken: 0, 1 or 3.
    """
    return ",".join(filter(None, (_written(action, version) for action in actions))) or "drop"


def _written(action: Action, version: int) -> str:
    show = _SHOWS.get(action.name)
    return action.text if show is None or not action.modelled else show(action, version)


def _number(action: Action, key: str) -> int:
    value = action.args.get(key)
    return value if isinstance(value, int) else 0


def _output(action: Action, _version: int) -> str:
    if "field" in action.args:
        return f"output:{part_text(_argument(action).split(',')[0])}"
    if "port_name" in action.args and "port" not in action.args:
        return f"output:{action.args['port_name']}"
    port = port_text(_number(action, "port"))
    if "queue" in action.args:
        return f"enqueue:{port}:{_number(action, 'queue')}"
    if "max_len" in action.args:
        return f"output(port={port},max_len={_number(action, 'max_len')})"
    return port if port == "LOCAL" else f"output:{port}"


def _argument(action: Action) -> str:
    inner = keyed(Piece(action.text, 1))[1]
    return "" if inner is None else inner.text


def _reserved(action: Action, _version: int) -> str:
    word = _WORDS[action.name]
    return f"enqueue:{word}:{_number(action, 'queue')}" if "queue" in action.args else word


def _controller(action: Action, _version: int) -> str:
    args = action.args
    length = _number(action, "max_len")
    told = [f"reason={args['reason']}"] if args.get("reason", "action") != "action" else []
    told += [f"max_len={length}"] if length != 0xFFFF else []  # noqa: PLR2004 - all of a packet
    told += [f"id={args['id']}"] if str(args.get("id", "0")) != "0" else []
    told += [f"userdata={args['userdata']}"] if args.get("userdata") else []
    told += ["pause"] if "pause" in args else []
    told += [f"meter_id={args['meter_id']}"] if args.get("meter_id") else []
    if not told or told == [f"max_len={length}"]:
        return f"CONTROLLER:{length}"
    return f"controller({','.join(told)})"


def _resubmit(action: Action, _version: int) -> str:
    port, table = action.args.get("port"), action.args.get("table")
    name = action.args.get("port_name")
    given = port_text(port) if isinstance(port, int) else str(name or "")
    if table is None and given:
        return f"resubmit:{given}"
    tail = ",ct" if action.args.get("ct") else ""
    return (
        f"resubmit({given},{'' if table is None else table}{tail})"
        if given or table is not None
        else "resubmit:IN_PORT"
    )


def _goto(action: Action, version: int) -> str:
    table = _number(action, "table")
    return f"goto_table:{table}" if version else f"resubmit(,{table})"


def _set_field(action: Action, version: int) -> str:
    word = keyed(Piece(action.text, 1))[0].lower()
    name = str(action.args["field"])
    value, mask = _number(action, "value"), action.args.get("mask")
    if word in ("set_tunnel", "set_tunnel64") and not version:
        return f"set_tunnel{'64' if value >> 32 else ''}:{value:#x}"
    if word == "write_metadata":
        return f"write_metadata:{value:#x}" + (f"/{mask:#x}" if isinstance(mask, int) else "")
    if name.startswith("set_mpls") or word.startswith("set_mpls"):
        return f"set_field:{value}->{name}" if version > 1 else f"{word}({value})"
    spelt = action.text.rpartition("->")[2].strip() if "->" in action.text else ""
    if spelt in ("vlan_vid", "vlan_pcp", "OXM_OF_VLAN_VID", "OXM_OF_VLAN_PCP"):
        return _tag("vid" if "vid" in spelt.lower() else "pcp", value, version)
    if name == "nw_tos" and (spelt in ("nw_ecn", "ip_ecn", "NXM_NX_IP_ECN") or word == "mod_nw_ecn"):
        return (
            f"load:{sharp(value & 3)}->NXM_NX_IP_ECN[]" if version <= 1 else f"set_field:{value & 3}->nw_ecn"
        )
    old = _OLD.get(name)
    full = (1 << FIELDS[name].width) - 1
    if name.startswith(("tun_metadata", "tun_erspan", "gtpu")):
        return f"set_field:{written_value(name, value, mask if isinstance(mask, int) else full)}->{name}"
    if version <= 1 and old is not None and not spelt.startswith("sctp"):
        return f"{old}:{value if name == 'nw_tos' else written_value(name, value, full)}"
    if name == "vlan_tci" and mask == _TAG_AND_ID and value & _TAG and not version:
        return f"mod_vlan_vid:{value & 0xFFF},mod_vlan_pcp:0"
    if version > 1 and mask is None:
        spelling = {"nw_src": "ip_src", "nw_dst": "ip_dst", "tp_src": spelt or "tcp_src"}
        spelling["tp_dst"] = spelt or "tcp_dst"
        return f"set_field:{written_value(name, value, full)}->{spelling.get(name, name)}"
    target = spelt if code_of(spelt) != spelt or spelt in FIELDS else name
    return ",".join(_loads(name, target, value, mask if isinstance(mask, int) else None))


def _tag(key: str, value: int, version: int) -> str:
    plain = value & 0xFFF if key == "vid" else value >> 13 & 7
    if version > 1:
        return f"set_field:{plain | 0x1000}->vlan_vid" if key == "vid" else f"set_field:{plain}->vlan_pcp"
    return f"{'set' if version else 'mod'}_vlan_{key}:{plain}"


def _loads(name: str, target: str, value: int, mask: int | None) -> Iterator[str]:
    """The runs of bits that are written, lowest first, at most 64 bits each."""
    field = FIELDS.get(target.partition("[")[0]) or FIELDS[name]
    width = 16 if name == "in_port" else field.width
    bits = ((1 << width) - 1) if mask is None else mask >> field.shift
    value >>= field.shift
    low = 0
    while bits >> low:
        if not bits >> low & 1:
            low += 1
            continue
        high = low
        while bits >> (high + 1) & 1 and high - low + 1 < _CHUNK:
            high += 1
        part = value >> low & ((1 << (high - low + 1)) - 1)
        code = code_of(target)
        whole = (low, high) == (0, width - 1)
        place = "" if whole else str(low) if low == high else f"{low}..{high}"
        yield f"load:{sharp(part)}->{code}[{place}]"
        low = high + 1


def _load(action: Action, _version: int) -> str:
    value, target = _number(action, "value"), _argument(action).rpartition("->")[2].strip()
    name, low, high = str(action.args["field"]), _number(action, "low"), _number(action, "high")
    if name.startswith("tun_metadata") and "[" not in target:
        return f"set_field:{sharp(value)}->{name}"
    if high - low >= _CHUNK:
        mask = (1 << (high + 1)) - (1 << low)
        return ",".join(_loads(name, target.partition("[")[0], value << low, mask))
    return f"load:{sharp(value)}->{part_text(target if '[' in target else target + '[]')}"


def _move(action: Action, _version: int) -> str:
    source, _, target = _argument(action).partition("->")
    return f"move:{part_text(source)}->{part_text(target)}"


def _stack(action: Action, _version: int) -> str:
    return f"{action.name}:{part_text(_argument(action))}"


def _vlan(key: str) -> Callable[[Action, int], str]:
    def show(action: Action, version: int) -> str:
        value = _number(action, key)
        if action.args.get("push") and not version:
            return f"mod_vlan_{key}:{value}"
        return _tag(key, value if key == "vid" else value << 13, version)

    return show


def _pop_vlan(_action: Action, version: int) -> str:
    return "pop_vlan" if version else "strip_vlan"


def _counted(key: str, form: str) -> Callable[[Action, int], str]:
    def show(action: Action, _version: int) -> str:
        return f"{action.name}:{format(_number(action, key), form)}"

    return show


def _dec_ttl(action: Action, _version: int) -> str:
    given = action.args.get("controllers")
    ids = given if isinstance(given, tuple) else ()
    return f"dec_ttl({','.join(map(str, ids))})" if ids and ids != (0,) else "dec_ttl"


def _nested(action: Action, version: int) -> str:
    inner = action.args.get("actions")
    actions = inner if isinstance(inner, tuple) else ()
    listed = written_actions(actions, version)
    if action.name == "write_actions" and (listed == "drop" or not version):
        return ""  # OpenFlow 1.0 has no action set
    return (
        listed if action.name == "apply_actions" else f"{action.name}({'' if listed == 'drop' else listed})"
    )


def _ct(action: Action, version: int) -> str:
    args = action.args
    told = [word for word in ("commit", "force") if args.get(word)]
    told += [f"table={args['table']}"] if args.get("table") is not None else []
    if args.get("zone_field"):
        pieces = (keyed(piece) for piece in cut(_argument(action), 1, ", \t"))
        told += [
            f"zone={part_text(inner.text)}" for word, inner in pieces if word == "zone" and inner is not None
        ]
    elif args.get("zone"):
        told.append(f"zone={args['zone']}")
    nat, inner = args.get("nat"), args.get("exec")
    if isinstance(nat, dict):
        told.append(_nat(nat))
    if isinstance(inner, tuple) and inner:
        told.append(f"exec({written_actions(inner, version)})")
    told += [f"alg={args['alg']}"] if args.get("alg") else []
    return f"ct({','.join(told)})"


def _nat(nat: Mapping[str, object]) -> str:
    if not nat:
        return "nat"
    text = str(nat.get("direction", ""))
    low, high, first, last = (nat.get(key) for key in ("low", "high", "low_port", "high_port"))
    if low is not None or first is not None:
        text += "="
    if low is not None:
        six = ":" in str(low)
        span = str(low) if low == high else f"{low}-{high}"
        if six and first is not None:
            span = f"[{low}]" if low == high else f"[{low}]-[{high}]"
        text += span
    if first is not None:
        text += f":{first}" + ("" if first == last else f"-{last}")
    flags = nat.get("flags")
    order = [flag for flag in ("persistent", "hash", "random") if isinstance(flags, tuple) and flag in flags]
    return f"nat({','.join(filter(None, (text, *order)))})"


def _conjunction(action: Action, _version: int) -> str:
    args = action.args
    return f"conjunction({args['id']},{args['clause']}/{args['of']})"


def _note(action: Action, _version: int) -> str:
    octets = [part.lower() for part in str(action.args["text"]).split(".") if part]
    padding = (6 - len(octets)) % 8
    return f"note:{'.'.join((*octets, *['00'] * padding))}"


def _sample(action: Action, _version: int) -> str:
    given = dict(piece.text.partition("=")[::2] for piece in cut(str(action.args["text"]), 1))
    keys = ("probability", "collector_set_id", "obs_domain_id", "obs_point_id", "sampling_port")
    told = [f"{key}={given.get(key, '0')}" for key in keys[:4]]
    told += [f"sampling_port={given['sampling_port']}"] if "sampling_port" in given else []
    told += [word for word in ("ingress", "egress") if word in given]
    return f"sample({','.join(told)})"


def _balance(action: Action, _version: int) -> str:
    parts = [piece.text for piece in cut(_argument(action), 1)]
    shown = [
        part_text(part)
        if "[" in part or (part in FIELDS and part not in ("eth_src", "nw_src", "nw_dst"))
        else part
        for part in parts
    ]
    return f"{action.name}({','.join(part.replace('slaves:', 'members:') for part in shown)})"


def _larger(action: Action, _version: int) -> str:
    target = action.text.rpartition("->")[2]
    return f"check_pkt_larger({_number(action, 'size')})->{part_text(target)}"


def _fin(action: Action, _version: int) -> str:
    return f"fin_timeout({action.args['text']})"


def _decap(action: Action, _version: int) -> str:
    space, kind = action.args.get("namespace"), action.args.get("type")
    return "decap()" if not isinstance(kind, int) else f"decap(packet_type(ns={space},type={kind:#x}))"


def _same(action: Action, _version: int) -> str:
    return action.name


def _none(_action: Action, _version: int) -> str:
    return ""


def _cleared(_action: Action, version: int) -> str:
    return "clear_actions" if version else ""


_SHOWS: Final[Mapping[str, Callable[[Action, int], str]]] = {
    "output": _output, **dict.fromkeys(_WORDS, _reserved), "controller": _controller, "drop": _none,
    "resubmit": _resubmit, "goto_table": _goto, "set_field": _set_field, "load": _load, "move": _move,
    "push": _stack, "pop": _stack, "set_vlan_vid": _vlan("vid"), "set_vlan_pcp": _vlan("pcp"),
    "pop_vlan": _pop_vlan, "push_vlan": _counted("ethertype", "#06x"),
    "push_mpls": _counted("ethertype", "#06x"), "pop_mpls": _counted("ethertype", "#06x"),
    "group": _counted("group", "d"), "meter": _counted("meter", "d"),
    "set_queue": _counted("queue", "d"), "dec_ttl": _dec_ttl, "clone": _nested, "write_actions": _nested,
    "apply_actions": _nested, "ct": _ct, "learn": learn_text, "conjunction": _conjunction, "note": _note,
    "sample": _sample, "multipath": _balance, "bundle": _balance, "bundle_load": _balance,
    "check_pkt_larger": _larger, "fin_timeout": _fin, "decap": _decap, "ct_clear": _same, "pop_queue": _same,
    "exit": _same, "dec_mpls_ttl": _same, "debug_recirc": _same, "dec_nsh_ttl": _same,
    "clear_actions": _cleared,
}  # fmt: skip
