"""A recorded switch, as JSON -> ``Setting``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from bothways.conform.openflow_case import BridgeRecord, Setting

__all__ = ["PIPELINE_BRIDGE", "bridge_of", "datapath_of", "pipeline_of", "seed_of"]

#: the bridge that pipelines without bridges are loaded into
PIPELINE_BRIDGE: Final = "br0"
#: the one tunnel option that the recorder of pipelines maps, as ``dump-tlv-map`` prints it
_TLV_MAP: Final = " 0x102 0x80 4 tun_metadata0\n"
_LOCAL: Final = 65534
_DP_BRIDGE: Final = re.compile(r"^  (\S+):\s*$")
_DP_PORT: Final = re.compile(r"^ +(\S+) (\d+)/(\d+):")
#: settings of a bridge that change what happens and are not in the model
_BEYOND: Final = ("mirrors",)
#: settings that change what happens and that the model has
_SETTINGS: Final = ("stp", "rstp", "mcast_snooping")
#: column of a port or a mirror -> whether a value is of its kind
_COLUMNS: Final[Mapping[str, Callable[[Any], bool]]] = {
    **{name: lambda value: isinstance(value, Mapping) for name in ("options", "other_config")},
    **{
        name: lambda value: isinstance(value, list) and all(isinstance(each, str) for each in value)
        for name in ("config", "state", "select_src_port", "select_dst_port")
    },
    **{
        name: lambda value: all(
            isinstance(each, int) for each in (value if isinstance(value, list) else [value])
        )
        for name in ("trunks", "cvlans", "select_vlan")
    },
}
#: what a flow line says about itself that the switch does not need
_NOISE: Final = re.compile(r"\breset_counts\b ?")


def bridge_of(name: str, given: Mapping[str, Any]) -> BridgeRecord:
    """
    Read one bridge of a case.

    :raises KeyError, TypeError, ValueError: if it is none.
    """
    ports: list[Mapping[str, Any]] = []
    mirrors = given.get("mirrors")
    mirrors = tuple(mirrors) if isinstance(mirrors, list) else ()
    beyond = [word for word in _BEYOND if given.get(word) and not mirrors]
    for row in given["ports"]:
        faces = row.get("interfaces")
        if faces is None:
            ports.append(row)
            continue
        bond = {"bond": row["name"]} if len(faces) != 1 else {}
        ports += [{**row, **face, **bond} for face in faces]
    return BridgeRecord(
        name=name,
        ports=_whole(ports),
        flows=_texts(_NOISE.sub("", str(flow)) for flow in given["flows"]),
        groups=_texts(given.get("groups") or ()),
        fdb=str(given.get("fdb") or ""),
        tlv_map=str(given.get("tlv_map") or ""),
        address=str(given.get("address") or ""),
        beyond=tuple(beyond),
        settings=frozenset(word for word in _SETTINGS if given.get(word)),
        mirrors=_whole(mirrors),
    )


def pipeline_of(given: Mapping[str, Any]) -> Setting:
    """
    Read one pipeline: one bridge whose ports are plain devices.

    :raises KeyError, TypeError, ValueError: if it is none.
    """
    local = {"name": PIPELINE_BRIDGE, "ofport": _LOCAL, "type": "internal"}
    record = BridgeRecord(
        name=PIPELINE_BRIDGE,
        ports=_whole((*given["ports"], local)),
        flows=_texts(given["flows"]),
        groups=_texts(given.get("groups") or ()),
        tlv_map=str(given.get("tlv_map") or _TLV_MAP),
        encoded=True,
    )
    numbers = given.get("dp_to_ofport") or {}
    datapath = {(PIPELINE_BRIDGE, int(of)): str(number) for number, of in numbers.items()}
    return Setting({PIPELINE_BRIDGE: record}, datapath)


def seed_of(given: Mapping[str, Any]) -> Setting:
    """
    Read one pipeline that stands with its cases: its ports are those that flows and packets name.

    :raises KeyError, TypeError, ValueError: if it is none.
    """
    flows = [line for name, lines in given.items() if name.endswith("flows") for line in lines]
    if not flows:
        raise ValueError("no list of flows")
    bridges = {str(case["args"][_first_word(case["args"])]) for case in given["cases"]}
    (bridge,) = bridges if len(bridges) == 1 else (PIPELINE_BRIDGE,)
    said = [*flows, *(arg for case in given["cases"] for arg in case["args"])]
    numbers = {int(n) for text in said for n in re.findall(r"\b(?:in_port=|output:)(\d+)", str(text))}
    ports = given.get("ports") or [{"name": f"p{n}", "ofport": n, "type": "dummy"} for n in sorted(numbers)]
    local = {"name": bridge, "ofport": _LOCAL, "type": "internal"}
    groups = _texts(given.get("groups") or ())
    record = BridgeRecord(bridge, _whole((*ports, local)), _texts(flows), groups, encoded=True)
    of = {(bridge, int(port["ofport"])): str(port["ofport"]) for port in ports}
    return Setting({bridge: record}, of)


def datapath_of(dpif: str) -> dict[tuple[str, int], str]:
    """Read ``dpif/show``: bridge and OpenFlow port -> number of the datapath port."""
    found: dict[tuple[str, int], str] = {}
    bridge = ""
    for line in dpif.splitlines():
        head = _DP_BRIDGE.match(line)
        if head:
            bridge = head[1]
            continue
        port = _DP_PORT.match(line)
        if port:
            found[bridge, int(port[2])] = port[3]
    return found


def _first_word(args: Iterable[str]) -> int:
    """Index of the bridge among the arguments: the first that is neither an option nor its value."""
    skip = False
    for index, arg in enumerate(args):
        if skip or str(arg).startswith("-"):
            skip = str(arg) in ("--ct-next", "--l7", "--l7-len") and not skip
            continue
        return index
    raise ValueError("args name no bridge")


def _whole(rows: Iterable[Any]) -> tuple[Mapping[str, Any], ...]:
    """
    Ports or mirrors, each column of the kind that it has in OVSDB, or missing.

    :raises KeyError, TypeError: if one is not so.
    """
    kept: list[Mapping[str, Any]] = []
    for row in rows:
        if not isinstance(row["name"], str):
            raise TypeError("a name that is no text")
        for column, right in _COLUMNS.items():
            value = row.get(column)
            if value is not None and not right(value):
                raise TypeError(f"`{column}` of {row['name']}")
        kept.append(row)
    return tuple(kept)


def _texts(given: Iterable[Any]) -> tuple[str, ...]:
    return tuple(text for text in (str(each).strip() for each in given) if text)
