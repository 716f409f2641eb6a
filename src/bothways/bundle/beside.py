"""
Dumps of a namespace whose files people name freely: what goes round the hooks, and ipset's sets.

Each field takes every file whose name fits, in the folder of the namespace; those of the host's own namespace
may also lie beside ``netns/``. Several files of one field (``tc-qdisc.txt``, ``tc-filter-eth0.txt``) add up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final, Protocol

from bothways.bundle.ages import Ages
from bothways.bundle.folder import Folder
from bothways.facts.dump import Dump
from bothways.facts.parsed import Parsed
from bothways.parse.bpftool_net import parse_bpftool_net
from bothways.parse.ipset import parse_ipset
from bothways.parse.ipvs import parse_ipvs
from bothways.parse.nft_hooks import parse_nft_hooks
from bothways.parse.packet_handlers import parse_ptype
from bothways.parse.tc_json import parse_tc
from bothways.parse.xfrm_policy import parse_xfrm

__all__ = ["read_beside"]


class _Parser(Protocol):
    def __call__(self, text: str, *, file: str, read_at: float | None = None) -> Parsed[object]: ...


_DUMP = Callable[[_Parser, str, float | None], Dump[object] | None]
_END: Final = r"(?:\.(?:txt|json|xml|log|out))*\Z"

#: Field of Netns -> names of its files, their parser.
_FILES: Final[Mapping[str, tuple[re.Pattern[str], _Parser]]] = {
    field: (re.compile(pattern + _END), parser)
    for field, pattern, parser in (
        ("tc", r"(?:tc|qdiscs?)(?:[-_.][^/]*)?", parse_tc),
        ("bpf", r"(?:bpftool|bpf[-_]net|xdp)(?:[-_.][^/]*)?", parse_bpftool_net),
        ("ipvs", r"(?:ipvs|ipvsadm|proc[-_.]net[-_.]ip_vs|ip[-_]vs)(?:[-_.][^/]*)?", parse_ipvs),
        ("xfrm", r"(?:ip[-_.])?xfrm(?:[-_.][^/]*)?", parse_xfrm),
        ("handlers", r"(?:proc[-_.])?(?:net[-_.])?ptypes?", parse_ptype),
        ("hooks", r"nft[-_.](?:list[-_.])?hooks", parse_nft_hooks),
        ("ipsets", r"ipsets?(?:[-_.][^/]*)?", parse_ipset),
    )
}  # fmt: skip


def _places(host: str, name: str) -> Iterator[tuple[str, ...]]:
    yield ("hosts", host, "netns", name)
    if name == "root":
        yield ("hosts", host)


def read_beside(folder: Folder, dump: _DUMP, ages: Ages, host: str, name: str) -> Mapping[str, Dump[object]]:
    """
    Read these dumps of one namespace.

    :param dump: reads a file by a parser, None if it is not there.
    """
    found: dict[str, Dump[object]] = {}
    for place in _places(host, name):
        for file in folder.below(*place):
            path = "/".join((*place, file))
            field = next((key for key, (names, _) in _FILES.items() if names.match(file)), None)
            if field is None or not folder.has(path):
                continue
            row = dump(_FILES[field][1], path, ages.of_dump(host, name, file))
            if row is None:
                continue
            old = found.get(field)
            found[field] = row if old is None else replace(old, rows=(*old.rows, *row.rows))
    return found
