"""
``iptables-save`` and ``ip6tables-save`` (legacy and nft, with ``-c`` or without), and ``iptables -S``.

Matches and targets carry decoded values under these names. A match whose *modelled* is False keeps its raw
text and taints its rule; so does a target whose *modelled* is False. Names that are not in the table below
follow the same pattern (``MODULE.OPTION``, the option without dashes) with the value as the module's row in
``iptables_options`` decodes it.

==================================== =======================================================================
match                                value
==================================== =======================================================================
``source`` ``destination``           ``IPNetwork``
``in-interface`` ``out-interface``   ``str``; a trailing ``+`` stands for any ending
``protocol``                         ``int``; ``all`` has no match
``fragment``                         ``True``: second and later fragments
``tcp.sport`` ``tcp.dport``          ``(low, high)``; also ``udp.``, ``sctp.``, ``dccp.``, ``udplite.``
``tcp.tcp-flags``                    ``(mask, set)`` in header bits; ``--syn`` is ``(0x17, 0x02)``
``multiport.sports`` ``.dports``     ``tuple`` of ``(low, high)``; ``multiport.ports``: either side
``icmp.icmp-type``                   ``(type, code | None)``; ``any`` has no match
``icmp6.icmpv6-type``                the same
``mark.mark`` ``connmark.mark``      ``(value, mask)``
``conntrack.ctstate`` ``state.state`` ``frozenset[str]`` in upper case; also ``conntrack.ctstatus``
``conntrack.ctdir``                  ``"ORIGINAL"`` or ``"REPLY"``
``conntrack.ctproto``                ``int``
``conntrack.ctorigsrc`` …            ``IPNetwork`` (``ctorigdst``, ``ctreplsrc``, ``ctrepldst`` too)
``conntrack.ctorigsrcport`` …        ``(low, high)``; ``conntrack.ctexpire`` too
``addrtype.src-type`` ``.dst-type``  ``frozenset[str]`` in upper case; ``limit-iface-in`` …: ``True``
``comment.comment``                  ``str``
``mac.mac-source``                   ``Mac``
``physdev.physdev-in`` ``-out``      ``str``; ``physdev-is-in``, ``-is-out``, ``-is-bridged``: ``True``
``iprange.src-range`` ``.dst-range`` ``AddressRange`` without ports
``limit.limit``                      ``(packets, seconds)``; ``limit.limit-burst``: ``int``
``set.match-set``                    ``(name, (directions, …))``
``statistic.probability``            ``float``; ``.mode``: ``str``; ``.every``, ``.packet``: ``int``
``ttl.ttl-eq`` ``length.length``     ``int``; ``(low, high)``
``pkttype.pkt-type``                 ``str`` in lower case
``rpfilter.rpfilter``                ``frozenset[str]`` of ``loose``, ``validmark``, ``accept-local`` …
``socket.socket``                    ``frozenset[str]``: ``transparent``, ``nowildcard``, ``restore-skmark``
``unreadable``                       words that are no option (never modelled)
==================================== =======================================================================

============================== ==============================================================================
target option                  value
============================== ==============================================================================
``to-destination`` (DNAT)      ``AddressRange``; also ``to-source`` (SNAT)
``to-ports``                   ``(low, high)`` (MASQUERADE, REDIRECT)
``to`` (NETMAP)                ``IPNetwork``
``random`` ``random-fully``    ``True``; ``persistent`` too
``set-xmark`` ``set-mark``     ``(value, mask)`` (MARK, CONNMARK); ``--and-mark`` … become ``set-xmark``
``save-mark`` ``restore-mark`` ``True``, always with ``nfmask`` and ``ctmask`` as ``int``
``notrack`` ``zone`` (CT)      ``True``; ``int``, or ``"mark"``. The target ``NOTRACK`` has no options
``reject-with``                ``str``; left out, the rule means ``icmp-port-unreachable``
``on-port`` ``on-ip`` (TPROXY) ``int``; ``AddressRange``; ``tproxy-mark``: ``(value, mask)``
``clamp-mss-to-pmtu`` (TCPMSS) ``True``; ``set-mss``: ``int``
``checksum-fill``              ``True``
``log-prefix`` …               ``str``
============================== ==============================================================================

The target's name is that of the extension, of a verdict, or of a chain; *goto* is True for ``-g``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from bothways.facts.iptables import Chain, Match, Rule, Table
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.iptables_rule import Note, RuleBody, read_rule
from bothways.parse.iptables_words import Word, WordsError, split_words
from bothways.parse.reading import Reading, is_prompt, lines, quoted

__all__ = ["parse_iptables"]

_CHAIN: Final = re.compile(r":(?P<name>\S+)\s+(?P<policy>\S+)(?:\s+\[(\d+):(\d+)\])?\s*\Z")
_COUNTERS: Final = re.compile(r"\[(\d{1,20}):(\d{1,20})\]\Z")
_LISTED_CHAIN: Final = re.compile(
    r"Chain (?P<name>\S+) \((?:policy (?P<policy>[A-Z]+)[^)]*|\d+ references)\)\s*\Z"
)
_COUNT: Final = re.compile(r"\d+[KMGT]?\Z")
_POLICIES: Final = frozenset({"ACCEPT", "DROP", "QUEUE", "RETURN", "-"})

#: Built-in chains, for output of ``iptables -S``, which does not name its table.
_BY_CHAINS: Final = {
    frozenset({"INPUT", "FORWARD", "OUTPUT"}): "filter",
    frozenset({"PREROUTING", "OUTPUT"}): "raw",
    frozenset({"PREROUTING", "POSTROUTING", "OUTPUT"}): "nat",
    frozenset({"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}): "nat",
    frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}): "mangle",
}
_BUILTIN: Final = frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"})

#: What stands above a table: which tool wrote it. 1.8.2 called the one of nft ``xtables-save``.
_GENERATED: Final = re.compile(r"#\s*Generated by ")
_BY_NFT: Final = re.compile(r"#\s*Generated by (?:xtables\S*-save|\S+ \S+ \(nf_tables\))")

#: Warnings of ``iptables-nft-save`` that there are rules which this text does not show.
_HIDDEN: Final = (
    (
        re.compile(r"#\s*Warning:.*legacy tables present"),
        "also run iptables-legacy-save: both sets of rules apply",
    ),
    (re.compile(r"#\s*Table\s.*incompatible"), "the table was written by nft: collect `nft list ruleset`"),
)


@dataclass(slots=True)
class _Line:
    """One ``-A`` or ``-I`` line."""

    chain: str
    words: tuple[Word, ...]
    span: Span
    counters: tuple[int, int] | None = None
    insert_at: int | None = None
    note: Note | None = None
    listed: bool = False


@dataclass(slots=True)
class _Section:
    """One table while it is read."""

    name: str
    span: Span
    policies: dict[str, tuple[str | None, Span]] = field(default_factory=dict)
    rules: list[_Line] = field(default_factory=list)
    listed: str = ""
    by_nft: bool = False


def parse_iptables(text: str, *, file: str, read_at: float | None = None) -> Parsed[Table]:
    """
    Read the tables of one dump, in its order. Every rule is kept, also one that was not understood in full.

    A chain that is used and not declared (a filtered view) exists with policy None, and a problem says so
    where it is a built-in one. Output of ``iptables -S`` has no table names; the built-in chains tell.
    """
    reading: Reading[Table] = Reading()
    sections = list(_sections(text, file, read_at, reading))
    seen: set[str] = set()
    for section in sections:
        if section.name in seen:
            message = f"the table {quoted(section.name)} stands twice in this file"
            reading.contradiction(section.span, message, "keep one dump per file")
        seen.add(section.name)
        reading.rows.append(_table(section, reading))
    return reading.done()


def _sections(text: str, file: str, read_at: float | None, reading: Reading[Table]) -> Iterator[_Section]:
    section: _Section | None = None
    by_nft = False
    for span in lines(text, file=file, read_at=read_at):
        line = span.text.strip()
        if not line or line == "COMMIT" or line.startswith("#") or is_prompt(line):
            _silent(line, span, reading)
            by_nft = bool(_BY_NFT.match(line)) if _GENERATED.match(line) else by_nft
        elif line.startswith("*"):
            if section is not None:
                yield _named(section)
            section = _Section(line[1:].strip(), span, by_nft=by_nft)
        else:
            opens = line.startswith(("-P ", "--policy ")) and section is not None and section.name == ""
            if section is None or (opens and section.rules):
                if section is not None:
                    yield _named(section)
                section = _Section("", span)
            _entry(line, span, section, reading)
    if section is not None and (section.name or section.policies or section.rules):
        yield _named(section)


def _silent(line: str, span: Span, reading: Reading[Table]) -> None:
    for pattern, hint in _HIDDEN:
        if pattern.match(line):
            reading.unmodelled(span, f"there are rules that this dump does not hold: {quoted(line)}", hint)
            return
    reading.skip()


def _named(section: _Section) -> _Section:
    if section.name:
        return section
    builtin = frozenset(name for name, (policy, _) in section.policies.items() if policy is not None)
    return replace(section, name=_BY_CHAINS.get(builtin, "filter"))


def _entry(line: str, span: Span, section: _Section, reading: Reading[Table]) -> None:
    declared = _CHAIN.match(line)
    if declared is not None and declared["policy"] in _POLICIES:
        policy = None if declared["policy"] == "-" else declared["policy"]
        section.policies.setdefault(declared["name"], (policy, span))
        return
    if _listed(line, span, section, reading):
        return
    rule = _rule_line(span)
    if rule is not None:
        section.rules.append(rule)
        return
    words = line.split()
    if words[0] in ("-P", "--policy") and len(words) >= 3:  # noqa: PLR2004 (chain and policy)
        section.policies.setdefault(words[1], (words[2], span))
    elif words[0] in ("-N", "--new-chain") and len(words) == 2:  # noqa: PLR2004 (two words)
        section.policies.setdefault(words[1], (None, span))
    else:
        reading.malformed(span, f"expected a table, chain or rule, found {quoted(line)}")


def _listed(line: str, span: Span, section: _Section, reading: Reading[Table]) -> bool:
    """
    True for a line of ``iptables -L``, which leaves parts of rules out.

    Its rules are kept by their target alone, and none of them counts as understood.
    """
    chain = _LISTED_CHAIN.match(line)
    if chain is not None:
        if not section.listed:
            message = "`iptables -L` does not show everything that a rule asks: these rules are not evaluated"
            reading.unmodelled(span, message, "collect `iptables-save -c`")
        section.listed = chain["name"]
        section.policies.setdefault(chain["name"], (chain["policy"], span))
        return True
    if not section.listed or line.startswith(("-", "*", ":")):
        return False
    words = line.split()
    if words[:1] in (["target"], ["pkts"], ["num"]):
        reading.skip()
        return True
    target = next((word for word in words if not _COUNT.match(word)), "")
    jump = (Word("-j", 1), Word(target, 1)) if target and target != "--" else ()
    section.rules.append(_Line(section.listed, jump, span, listed=True))
    return True


def _rule_line(span: Span) -> _Line | None:
    note = None
    try:
        words = split_words(span.text)
    except WordsError as error:
        words = tuple(Word(found[0], found.start() + 1) for found in re.finditer(r"\S+", span.text))
        note = Note(str(error), 1, malformed=True)
    counters = _COUNTERS.match(words[0].text) if words else None
    rest = words[1:] if counters else words
    if len(rest) < 2 or rest[0].text not in ("-A", "--append", "-I", "--insert"):  # noqa: PLR2004 (two words)
        return None
    line = _Line(rest[1].text, rest[2:], span, note=note)
    if counters:
        line.counters = (int(counters[1]), int(counters[2]))
    if rest[0].text in ("-I", "--insert"):
        line.insert_at = 1
        if line.words and re.fullmatch(r"\d{1,6}", line.words[0].text):
            line.insert_at = max(1, int(line.words[0].text))
            line.words = line.words[1:]
    return line


def _table(section: _Section, reading: Reading[Table]) -> Table:
    for line in section.rules:
        if line.chain not in section.policies:
            section.policies[line.chain] = (None, line.span)
            if line.chain in _BUILTIN:
                where = f"{quoted(line.chain)} in the table {quoted(section.name)}"
                message = f"the policy of {where} is not in the dump"
                reading.unmodelled(line.span, message)
    rules: dict[str, list[Rule]] = {name: [] for name in section.policies}
    for line in section.rules:
        rule = _rule(section, line, reading)
        if line.insert_at is None:
            rules[line.chain].append(rule)
        else:
            rules[line.chain].insert(line.insert_at - 1, rule)
    chains = {
        name: Chain(name, policy, tuple(rules[name]), span)
        for name, (policy, span) in section.policies.items()
    }
    return Table(section.name, chains, section.span, section.by_nft)


def _rule(section: _Section, line: _Line, reading: Reading[Table]) -> Rule:
    body: RuleBody = read_rule(line.words, section.policies.keys())
    for note in (*((line.note,) if line.note else ()), *body.notes):
        place = replace(line.span, column=note.column)
        if note.malformed:
            reading.malformed(place, note.message, "the rule is kept and counts as not understood")
        else:
            reading.unmodelled(place, note.message)
    packets, octets = line.counters or body.counters or (None, None)
    matches = body.matches
    if line.note is not None or line.listed:
        # Where words end was guessed, so the rule may ask for more than what was read.
        matches = (*matches, Match("unreadable", line.span.text, modelled=False))
    return Rule(section.name, line.chain, matches, body.target, line.span, packets, octets)
