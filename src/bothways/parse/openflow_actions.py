"""
The actions of a flow: decoder table per action, several spellings of one action made one.

* ``output``: *port* (number) or *port_name*, or a register as *field*, *low*, *high*; *max_len* and *queue*
  where given. Also ``5``, ``eth0``, ``LOCAL``, ``enqueue:5:1``.
* ``in_port``, ``normal``, ``flood``, ``all``, ``table``, ``none``: reserved ports, also as ``output:NORMAL``.
* ``controller``: *max_len*, and further options as text.
* ``drop``: also an empty list. ``clear_actions``, ``pop_vlan`` (``strip_vlan``), ``ct_clear``, ``pop_queue``,
  ``exit``: no arguments.
* ``goto_table``: *table*. ``group``: *group*. ``meter``: *meter*. ``set_queue``: *queue*.
* ``resubmit``: *port* (number or None) or *port_name*, *table* (number or None), *ct* (True if asked for).
* ``set_field``: *field*, *value*, *mask* (None = the whole field). Also ``mod_dl_src`` … ``mod_tp_dst``,
  ``set_tunnel``, ``write_metadata``.
* ``load``: *field*, *low*, *high*, *value*. ``push``, ``pop``: *field*, *low*, *high*.
* ``move``: *source*, *source_low*, *source_high*, and what is written: *field*, *low*, *high*.
* ``set_vlan_vid``: *vid*, *push* (True for ``mod_vlan_vid``, which tags an untagged frame first).
  ``set_vlan_pcp``: *pcp*, *push*. ``push_vlan``: *ethertype*.
* ``dec_ttl``: *controllers*, a tuple of numbers.
* ``write_actions``, ``apply_actions``, ``clone``: *actions*, a tuple of ``Action``.
* ``ct``: *commit*, *force*; *table* (number or None); *zone* (number, 0 if not given) or *zone_field*,
  *zone_low*, *zone_high*; *alg* (text or None); *exec*, a tuple of ``Action``; *nat*, None or a mapping
  with *direction* (``src``, ``dst``), *low*, *high* (addresses), *low_port*, *high_port*, *flags*, as given.
* ``learn``: *table*, *priority*; *settings*, name -> text; *specs*, a tuple of texts as printed; *rules*, a
  tuple of ``LearnSpec``.
* ``multipath``, ``bundle``, ``bundle_load``, ``check_pkt_larger``: see ``openflow_balance``.
* ``encap``: *header*, and what it says as *text*. ``decap``: *namespace* and *type* of what it expects, or
  None. ``delete_field``: *field*, *low*, *high*. Who evaluates them decides whether they are followed.
* ``push_mpls``, ``pop_mpls``: *ethertype*. ``dec_mpls_ttl``, ``debug_recirc``: no arguments.
* ``conjunction``: *id*, *clause* (from 1), *of*.
* ``note``, ``fin_timeout``, ``sample``: *text*.

Fields carry the names of ``openflow_fields``; bits count from 0, both ends included. Any other action
keeps its text and is ``modelled=False``, with a problem. Source: ovs-actions(7).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from bothways.facts.openflow import Action
from bothways.facts.span import Kind, Problem, Span
from bothways.parse.openflow_balance import bundle, check_larger, multipath
from bothways.parse.openflow_ct import read_nat
from bothways.parse.openflow_fields import FIELDS, subfield
from bothways.parse.openflow_learn import learn
from bothways.parse.openflow_lex import Piece, cut, keyed
from bothways.parse.openflow_outputs import controller, enqueue, output, resubmit, to_port
from bothways.parse.openflow_values import FORMS, PORTS, number, unquoted
from bothways.parse.reading import NotModelledError, quoted

__all__ = ["ActionReader", "reads_as_actions"]

Args = dict[str, object]

#: nesting of action lists deeper than this is not what a switch prints
_DEPTH: Final = 16
_VLAN_PRESENT: Final = 0x1000


@dataclass(slots=True)
class ActionReader:
    """
    Reads the action lists of one line.

    :param problems: collects what could not be read.
    :param tables: numbers of tables that the dump calls by name.
    """

    line: Span
    problems: list[Problem] = field(default_factory=list)
    depth: int = 0
    tables: Mapping[str, int] = field(default_factory=dict)

    def actions(self, text: str, column: int, separators: str = ",") -> tuple[Action, ...]:
        """Read a list of actions that starts at a 1-based column."""
        if self.depth >= _DEPTH:
            raise NotModelledError(f"actions are nested more than {_DEPTH} deep")
        self.depth += 1
        try:
            return tuple(self.action(piece) for piece in cut(text, column, separators))
        finally:
            self.depth -= 1

    def action(self, piece: Piece) -> Action:
        """Read one action."""
        word, value = keyed(piece)
        name, decode, expects = _reader_of(word, value)
        if decode is None:
            self._note(Kind.UNMODELLED, piece, f"the action {quoted(piece.text)} is not modelled")
            return Action(name, {}, piece.text, piece.column, modelled=False)
        try:
            name, args = decode(self, name, value or Piece("", piece.column + len(piece.text)))
        except NotModelledError as error:
            self._note(Kind.UNMODELLED, piece, str(error))
            return Action(name, {}, piece.text, piece.column, modelled=False)
        except ValueError:
            message = f"cannot read the action {quoted(piece.text)}"
            self._note(Kind.MALFORMED, piece, message, f"expected {expects}")
            return Action(name, {}, piece.text, piece.column, modelled=False)
        return Action(name, args, piece.text, piece.column)

    def table(self, text: str) -> int:
        """Number of a table that is given by its number or name."""
        named = self.tables.get(unquoted(text.strip()))
        return number(text) if named is None else named

    def _note(self, kind: Kind, piece: Piece, message: str, hint: str = "") -> None:
        self.problems.append(Problem(kind, replace(self.line, column=piece.column), message, hint))


Decode = Callable[[ActionReader, str, Piece], tuple[str, Args]]


def _plain(_reader: ActionReader, name: str, value: Piece) -> tuple[str, Args]:
    if value.text.strip():
        raise ValueError(value.text)
    return name, {}


def _noted(_reader: ActionReader, name: str, value: Piece) -> tuple[str, Args]:
    return name, {"text": value.text}


def _numbered(key: str) -> Decode:
    def decode(_reader: ActionReader, name: str, value: Piece) -> tuple[str, Args]:
        return name, {key: number(value.text)}

    return decode


def _goto_table(reader: ActionReader, name: str, value: Piece) -> tuple[str, Args]:
    return name, {"table": reader.table(value.text)}


def _set_field(_reader: ActionReader, name: str, value: Piece) -> tuple[str, Args]:
    text, arrow, target = value.text.rpartition("->")
    if not arrow:
        raise ValueError(value.text)
    return _setting(name, text.strip(), target.strip())


def _setting(name: str, text: str, target: str) -> tuple[str, Args]:
    part = subfield(target)
    bits, mask = FORMS[part.form].decode(text, part.width)
    whole = FIELDS[part.name].width
    if part.width < whole:
        mask = ((1 << part.width) - 1 if mask is None else mask) << part.low
        bits <<= part.low
    if part.name == "vlan_tci" and part.low > 0:
        bits, mask = bits | _VLAN_PRESENT, (mask or 0) | _VLAN_PRESENT
    elif part.name == "nw_tos" and part.width == whole:
        bits, mask = bits & 0xFC, 0xFC
    return name, {"field": part.name, "value": bits, "mask": mask}


def _sets(target: str) -> Decode:
    """An old action that writes one field, read as ``set_field``."""

    def decode(_reader: ActionReader, _name: str, value: Piece) -> tuple[str, Args]:
        return _setting("set_field", value.text.strip(), target)

    return decode


def _load(_reader: ActionReader, name: str, value: Piece) -> tuple[str, Args]:
    text, arrow, target = value.text.partition("->")
    part = subfield(target)
    bits = number(text)
    if not arrow or bits >> part.width:
        raise ValueError(value.text)
    return name, {"field": part.name, "low": part.low, "high": part.high, "value": bits}


def _move(_reader: ActionReader, name: str, value: Piece) -> tuple[str, Args]:
    given, arrow, target = value.text.partition("->")
    source, part = subfield(given), subfield(target)
    if not arrow or source.width != part.width:
        raise ValueError(value.text)
    return name, {
        "source": source.name,
        "source_low": source.low,
        "source_high": source.high,
        "field": part.name,
        "low": part.low,
        "high": part.high,
    }


def _stack(_reader: ActionReader, name: str, value: Piece) -> tuple[str, Args]:
    part = subfield(value.text)
    return name, {"field": part.name, "low": part.low, "high": part.high}


def _vlan(key: str, limit: int, *, push: bool) -> Decode:
    def decode(_reader: ActionReader, _name: str, value: Piece) -> tuple[str, Args]:
        given = number(value.text)
        if given > limit:
            raise ValueError(value.text)
        return f"set_vlan_{key}", {key: given, "push": push}

    return decode


def _dec_ttl(_reader: ActionReader, name: str, value: Piece) -> tuple[str, Args]:
    return name, {"controllers": tuple(number(piece.text) for piece in cut(value.text, 1))}


def _nested(reader: ActionReader, name: str, value: Piece) -> tuple[str, Args]:
    return name, {"actions": reader.actions(value.text, value.column)}


def _ct(reader: ActionReader, name: str, value: Piece) -> tuple[str, Args]:
    args: Args = {
        "commit": False,
        "force": False,
        "table": None,
        "zone": 0,
        "nat": None,
        "alg": None,
        "exec": (),
    }
    for piece in cut(value.text, value.column, ", \t"):
        word, inner = keyed(piece)
        given = inner or Piece("", piece.column)
        if word in ("commit", "force") and inner is None:
            args[word] = True
        elif word == "table":
            args["table"] = reader.table(given.text)
        elif word == "zone":
            args |= _zone(given.text)
        elif word == "nat":
            args["nat"] = read_nat(given)
        elif word == "alg":
            args["alg"] = given.text
        elif word == "exec":
            args |= _exec(reader, given)
        else:
            raise ValueError(piece.text)
    return name, args


def _exec(reader: ActionReader, given: Piece) -> Args:
    """The actions of ``exec``; a switch prints ``nat(...)`` among them if there are both."""
    args: Args = {}
    start, found = given.text, ""
    for piece in cut(given.text, given.column):
        word, inner = keyed(piece)
        if word == "nat":
            args["nat"] = read_nat(inner or Piece("", piece.column))
            found = piece.text
    if found:
        start = given.text.replace(found, " " * len(found))
    return {**args, "exec": reader.actions(start, given.column)}


def _zone(text: str) -> Args:
    if text[:1].isdigit():
        return {"zone": number(text)}
    part = subfield(text)
    return {"zone": None, "zone_field": part.name, "zone_low": part.low, "zone_high": part.high}


def _conjunction(_reader: ActionReader, name: str, value: Piece) -> tuple[str, Args]:
    given, _, part = value.text.partition(",")
    clause, _, of = part.partition("/")
    return name, {"id": number(given), "clause": number(clause), "of": number(of)}


def _encap(_reader: ActionReader, name: str, value: Piece) -> tuple[str, Args]:
    header, inner = keyed(value)
    if not header:
        raise ValueError(value.text)
    return name, {"header": header, "text": "" if inner is None else inner.text}


def _decap(_reader: ActionReader, name: str, value: Piece) -> tuple[str, Args]:
    if not value.text.strip():
        return name, {"namespace": None, "type": None}
    word, inner = keyed(value)
    given = {} if inner is None else dict(piece.text.partition("=")[::2] for piece in cut(inner.text, 1))
    if word != "packet_type" or given.keys() != {"ns", "type"}:
        raise ValueError(value.text)
    return name, {"namespace": number(given["ns"]), "type": number(given["type"])}


_MAC: Final = "a MAC such as fa:16:3e:00:00:01"
_ADDRESS: Final = "an IPv4 address"
_NUMBER: Final = "a number"

#: spelling, lower case -> decoder and what a good action looks like
_ACTIONS: Final[Mapping[str, tuple[Decode, str]]] = {
    "output": (output, "output:PORT or output:FIELD[a..b]"),
    "enqueue": (enqueue, "enqueue:PORT:QUEUE"),
    "drop": (_plain, "drop"),
    "controller": (controller, "CONTROLLER, CONTROLLER:bytes or controller(...)"),
    "goto_table": (_goto_table, "goto_table:NUMBER"),
    "resubmit": (resubmit, "resubmit(PORT,TABLE), either may be left out"),
    "set_field": (_set_field, "set_field:VALUE[/MASK]->FIELD"),
    "load": (_load, "load:NUMBER->FIELD[a..b], a number that fits these bits"),
    "move": (_move, "move:FIELD[a..b]->FIELD[c..d] of equal width"),
    "push": (_stack, "push:FIELD[a..b]"),
    "pop": (_stack, "pop:FIELD[a..b]"),
    "mod_dl_src": (_sets("eth_src"), _MAC),
    "mod_dl_dst": (_sets("eth_dst"), _MAC),
    "mod_nw_src": (_sets("nw_src"), _ADDRESS),
    "mod_nw_dst": (_sets("nw_dst"), _ADDRESS),
    "mod_nw_tos": (_sets("nw_tos"), _NUMBER),
    "mod_nw_ecn": (_sets("nw_ecn"), _NUMBER),
    "mod_nw_ttl": (_sets("nw_ttl"), _NUMBER),
    "set_nw_ttl": (_sets("nw_ttl"), _NUMBER),
    "mod_tp_src": (_sets("tp_src"), _NUMBER),
    "mod_tp_dst": (_sets("tp_dst"), _NUMBER),
    "set_tunnel": (_sets("tun_id"), _NUMBER),
    "set_tunnel64": (_sets("tun_id"), _NUMBER),
    "write_metadata": (_sets("metadata"), "NUMBER[/MASK]"),
    "mod_vlan_vid": (_vlan("vid", 0xFFF, push=True), "a VLAN ID from 0 to 4095"),
    "mod_vlan_pcp": (_vlan("pcp", 7, push=True), "a priority from 0 to 7"),
    "set_vlan_vid": (_vlan("vid", 0xFFF, push=False), "a VLAN ID from 0 to 4095"),
    "set_vlan_pcp": (_vlan("pcp", 7, push=False), "a priority from 0 to 7"),
    "push_vlan": (_numbered("ethertype"), "push_vlan:0x8100"),
    "pop_vlan": (_plain, "pop_vlan"),
    "strip_vlan": (_plain, "strip_vlan"),
    "dec_ttl": (_dec_ttl, "dec_ttl or dec_ttl(ID,...)"),
    "write_actions": (_nested, "write_actions(ACTION,...)"),
    "apply_actions": (_nested, "apply_actions(ACTION,...)"),
    "clone": (_nested, "clone(ACTION,...)"),
    "clear_actions": (_plain, "clear_actions"),
    "ct": (_ct, "ct(commit,force,table=N,zone=N,nat(...),alg=NAME,exec(ACTION,...))"),
    "ct_clear": (_plain, "ct_clear"),
    "learn": (learn, "learn(SETTING=VALUE,...,SPECIFICATION,...)"),
    "conjunction": (_conjunction, "conjunction(ID,CLAUSE/CLAUSES)"),
    "group": (_numbered("group"), "group:NUMBER"),
    "meter": (_numbered("meter"), "meter:NUMBER"),
    "set_queue": (_numbered("queue"), "set_queue:NUMBER"),
    "pop_queue": (_plain, "pop_queue"),
    "note": (_noted, "note:BYTES"),
    "exit": (_plain, "exit"),
    "fin_timeout": (_noted, "fin_timeout(...)"),
    "sample": (_noted, "sample(...)"),
    "multipath": (multipath, "multipath(FIELDS,BASIS,ALGORITHM,LINKS,ARGUMENT,FIELD[a..b])"),
    "bundle": (bundle, "bundle(FIELDS,BASIS,ALGORITHM,ofport,members:PORT,...)"),
    "bundle_load": (bundle, "bundle_load(FIELDS,BASIS,ALGORITHM,ofport,FIELD[a..b],members:PORT,...)"),
    "check_pkt_larger": (check_larger, "check_pkt_larger(SIZE)->FIELD[a]"),
    "push_mpls": (_numbered("ethertype"), "push_mpls:0x8847"),
    "pop_mpls": (_numbered("ethertype"), "pop_mpls:0x0800"),
    "set_mpls_label": (_sets("mpls_label"), _NUMBER),
    "set_mpls_tc": (_sets("mpls_tc"), _NUMBER),
    "set_mpls_ttl": (_sets("mpls_ttl"), _NUMBER),
    "dec_mpls_ttl": (_plain, "dec_mpls_ttl"),
    "debug_recirc": (_plain, "debug_recirc"),
    "debug_slow": (_plain, "debug_slow"),
    "encap": (_encap, "encap(HEADER)"),
    "decap": (_decap, "decap or decap(packet_type(ns=N,type=N))"),
    "dec_nsh_ttl": (_plain, "dec_nsh_ttl"),
    "delete_field": (_stack, "delete_field:FIELD"),
    "set_mpls_bos": (_sets("mpls_bos"), _NUMBER),
    "unroll_xlate": (_noted, "unroll_xlate(...)"),
}
_RENAMED: Final = {"strip_vlan": "pop_vlan"}

#: actions that bothways knows of and does not read
_UNMODELLED: Final = frozenset({"pop_pbb", "push_pbb"})


def _reader_of(word: str, value: Piece | None) -> tuple[str, Decode | None, str]:
    """Name, decoder (None = not modelled) and expected form of an action; a bare word is a port."""
    name = word.lower()
    if name in _ACTIONS:
        decode, expects = _ACTIONS[name]
        return _RENAMED.get(name, name), decode, expects
    if name in _UNMODELLED:
        return name, None, ""
    if value is None or name in PORTS:
        return "output", _bare(word), "an action, a port number or the name of a port"
    return name, None, ""


def reads_as_actions(text: str) -> bool:
    """True if every word of *text* is an action with its own name, as ``controller(pause) resubmit(,2)``."""
    names = [keyed(piece)[0].lower() for piece in cut(text, 1, ", \t")]
    return bool(names) and all(name in _ACTIONS or name in _UNMODELLED for name in names)


def _bare(word: str) -> Decode:
    def decode(_reader: ActionReader, _name: str, value: Piece) -> tuple[str, Args]:
        if not word:
            raise ValueError(value.text)
        name, args = to_port(word)
        return name, {**args, "max_len": number(value.text)} if value.text else args

    return decode
