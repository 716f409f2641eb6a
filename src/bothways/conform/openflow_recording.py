"""
Recorded traces on disk, in three forms; each is known by what it holds, not by its name.

============ =======================================================================================
cases        a list of cases, or one case on each line; each has its ``bridges``, the ports of its datapath
             (``dpif``, what ``dpif/show`` printed), ``args`` of ``ofproto/trace``, and ``expected``
pipelines    a list of pipelines (``id``, ``ports``, ``flows``, ``groups``, ``dp_to_ofport``), and beside it a
             file of traces, one on each line (``pipeline``, ``args``, ``expected``). Either may be given
one pipeline one object: flows in lists whose names end in ``flows``, and ``cases`` (``args``, ``expected``)
============ =======================================================================================

``expected`` holds what the switch said: ``flow``, ``final_flow`` and ``datapath_actions`` (lists after a
recirculation), ``tables``, ``stdout``. A file may be packed with gzip. The forms in full stand in
``docs/reference/openflow-traces.md``.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bothways.conform.openflow_case import Setting, Told, TraceCase
from bothways.conform.openflow_record import PIPELINE_BRIDGE, bridge_of, datapath_of, pipeline_of, seed_of
from bothways.conform.openflow_said import NoTraceError, said_of

__all__ = ["TraceFileError", "read_traces"]

#: files beside the given one that may hold the other half
_BESIDE: Final = ("*.json", "*.json.gz", "*.jsonl", "*.jsonl.gz")
_MAX_OTHERS: Final = 50


class TraceFileError(Exception):
    """A file that holds no traces; the text begins with the place. *hint* says what is expected."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class _Row:
    """One object of a file, and where it stands."""

    place: str
    value: Mapping[str, Any]


def read_traces(path: Path, pipelines: Path | None = None) -> Iterator[TraceCase]:
    """
    Read the cases of a file, one by one.

    :param pipelines: the file with the pipelines of these traces; None: looked for beside *path*.
    :raises TraceFileError: with the place of what is not as expected.
    :raises OSError: if a file cannot be read.
    """
    rows = _rows(path)
    form = _form(rows[0].value) if rows else None
    if form is None:
        raise _unlike(path, rows)
    yield from _READERS[form](path, rows, pipelines)


# -- the forms -----------------------------------------------------------------------------------------


def _form(value: Mapping[str, Any]) -> str | None:
    """Which form an object is of."""
    if "cases" in value and isinstance(value["cases"], list):
        return "one pipeline"
    if "bridges" in value:
        return "cases"
    if "pipeline" in value and "expected" in value:
        return "traces"
    if "flows" in value and "ports" in value:
        return "pipelines"
    return None


def _read_cases(path: Path, rows: list[_Row], _pipelines: Path | None) -> Iterator[TraceCase]:
    del path
    held: dict[str, Setting] = {}
    for row in rows:
        try:
            value = row.value
            bridges, dpif = value["bridges"], value.get("dpif", "")
            key = json.dumps([bridges, dpif], sort_keys=True)
            setting = held.get(key)
            if setting is None:
                records = {str(name): bridge_of(str(name), given) for name, given in bridges.items()}
                setting = Setting(records, datapath_of(dpif))
                held = {key: setting}
            yield _case(row, setting, str(value.get("test", value.get("class", ""))))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise _damaged(row.place, "a case", error) from None


def _read_one(path: Path, rows: list[_Row], _pipelines: Path | None) -> Iterator[TraceCase]:
    (row,) = rows[:1]
    try:
        setting = seed_of(row.value)
        cases = row.value["cases"]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _damaged(row.place, "a pipeline with its cases", error) from None
    for number, value in enumerate(cases):
        place = _Row(f"{path}: case {number}", value)
        try:
            yield _case(place, setting, str(row.value.get("id", "")))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise _damaged(place.place, "a case", error) from None


def _read_traces(path: Path, rows: list[_Row], pipelines: Path | None) -> Iterator[TraceCase]:
    wanted = {str(row.value.get("pipeline")) for row in rows}
    settings = _settings(_rows(pipelines)) if pipelines is not None else _beside(path, wanted)
    for row in rows:
        name = str(row.value.get("pipeline"))
        setting = settings.get(name)
        if setting is None:
            where = pipelines or f"no file beside {path.name}"
            raise TraceFileError(
                f"{row.place}: the pipeline {name!r} is not in {where}",
                "give the file of the pipelines with --pipelines",
            )
        try:
            yield _case(row, setting, name)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise _damaged(row.place, "a trace", error) from None


def _read_pipelines(path: Path, rows: list[_Row], _pipelines: Path | None) -> Iterator[TraceCase]:
    settings = _settings(rows)
    for other in _others(path):
        found = _try_rows(other)
        if found and _form(found[0].value) == "traces":
            mine = [row for row in found if str(row.value.get("pipeline")) in settings]
            if mine:
                yield from _read_traces(other, mine, path)
                return
    raise TraceFileError(
        f"{path}: these are pipelines, and no file beside them holds their traces",
        "give the file of the traces, one JSON object a line with `pipeline`, `args` and `expected`",
    )


_READERS: Final = {
    "cases": _read_cases,
    "one pipeline": _read_one,
    "traces": _read_traces,
    "pipelines": _read_pipelines,
}


def _settings(rows: Iterable[_Row]) -> dict[str, Setting]:
    settings: dict[str, Setting] = {}
    for row in rows:
        try:
            settings[str(row.value["id"])] = pipeline_of(row.value)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise _damaged(row.place, "a pipeline", error) from None
    return settings


def _beside(path: Path, wanted: set[str]) -> dict[str, Setting]:
    """Pipelines of the wanted names, in the first file beside *path* that holds one of them."""
    for other in _others(path):
        found = _try_rows(other)
        if found and _form(found[0].value) == "pipelines":
            settings = _settings(found)
            if wanted & settings.keys():
                return settings
    raise TraceFileError(
        f"{path}: these are traces, and no file beside them holds their pipelines",
        "give the file of the pipelines with --pipelines",
    )


def _others(path: Path) -> list[Path]:
    found = sorted({other for pattern in _BESIDE for other in path.parent.glob(pattern)})
    likely = sorted(found, key=lambda other: "pipeline" not in other.name)
    return [other for other in likely if other != path][:_MAX_OTHERS]


# -- one case ------------------------------------------------------------------------------------------


def _case(row: _Row, setting: Setting, kind: str) -> TraceCase:
    value = row.value
    args, expected = [str(arg) for arg in value["args"]], value["expected"]
    said = said_of(expected)
    start = said.bridge or next((arg for arg in args if arg in setting.bridges), None)
    if start is None:
        start = PIPELINE_BRIDGE if PIPELINE_BRIDGE in setting.bridges else next(iter(setting.bridges))
    if start not in setting.bridges:
        raise NoTraceError(f"the trace starts in {start!r}, which is no bridge of the case")
    states = tuple(args[i + 1] for i, arg in enumerate(args[:-1]) if arg == "--ct-next")
    told = said.told or (Told(None, None, ""),)
    return TraceCase(
        name=str(value.get("id", row.place)),
        kind=kind,
        place=row.place,
        setting=setting,
        start=start,
        args=tuple(args),
        ct_next=states,
        told=told,
        tables=said.tables,
        stdout=str(expected.get("stdout", "")),
    )


# -- files ---------------------------------------------------------------------------------------------


def _rows(path: Path) -> list[_Row]:
    """Every object of a file: of its list, of its lines, or the one that it is."""
    text = _text(path)
    if not text.strip():
        raise TraceFileError(f"{path}: the file is empty", "a recording of `ofproto/trace` is expected")
    try:
        whole = json.loads(text)
    except ValueError:
        return _lines(path, text)
    if isinstance(whole, Mapping):
        return [_Row(f"{path}:1", whole)]
    if not isinstance(whole, list):
        raise _unlike(path, [])
    for number, value in enumerate(whole):
        if not isinstance(value, Mapping):
            raise TraceFileError(
                f"{path}: element {number} is no object", "a list of JSON objects is expected"
            )
    return [_Row(f"{path}: case {number}", value) for number, value in enumerate(whole)]


def _lines(path: Path, text: str) -> list[_Row]:
    rows: list[_Row] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise TraceFileError(
                f"{path}:{number}: no JSON: {error}",
                "JSON is expected: one document, or one object on each line",
            ) from None
        if not isinstance(value, Mapping):
            raise TraceFileError(f"{path}:{number}: no object", "one JSON object is expected on each line")
        rows.append(_Row(f"{path}:{number}", value))
    return rows


def _try_rows(path: Path) -> list[_Row]:
    """The objects of a file beside; none if it is something else."""
    try:
        return _rows(path)
    except (TraceFileError, OSError):
        return []


def _text(path: Path) -> str:
    octets = path.read_bytes()
    try:
        if octets[:2] == b"\x1f\x8b":
            octets = gzip.decompress(octets)
        return octets.decode()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TraceFileError(f"{path}: the compressed file is damaged: {error}") from None
    except UnicodeDecodeError as error:
        raise TraceFileError(f"{path}: no text: {error.reason}", "JSON in UTF-8 is expected") from None


def _unlike(path: Path, rows: list[_Row]) -> TraceFileError:
    keys = (
        f": its first object has {', '.join(sorted(map(str, rows[0].value))[:8]) or 'nothing'}"
        if rows
        else ""
    )
    return TraceFileError(
        f"{path}: no recording of `ofproto/trace`{keys}",
        "expected cases (`bridges`, `args`, `expected`), pipelines (`flows`, `ports`) or traces (`pipeline`)",
    )


def _damaged(place: str, what: str, error: Exception) -> TraceFileError:
    named = f"`{error.args[0]}` is missing" if isinstance(error, KeyError) and error.args else str(error)
    return TraceFileError(
        f"{place}: no {what.removeprefix('a ')} that can be read: {named}", f"{what} is expected"
    )
