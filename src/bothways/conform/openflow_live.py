"""Fresh packets through a private switch and through the model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from bothways.conform.openflow_case import Setting, TraceCase
from bothways.conform.openflow_pipeline import DrawnPacket, Pipeline
from bothways.conform.openflow_record import datapath_of
from bothways.conform.openflow_said import printed, said_of
from bothways.conform.openflow_switch import LoadError, PrivateSwitch
from bothways.conform.openflow_unixctl import RefusedError

__all__ = ["DIED", "SLOW", "Asking", "line_of_case"]

#: what is told of a packet that ended the switch
DIED: Final = "the switch died"
#: what is told of a packet that it did not answer in time
SLOW: Final = "the switch did not answer in time"


class Asking:
    """
    Asks a private switch about packets in pipelines.

    :param refused: told what the switch does not take: a pipeline, a packet, one that it dies of (an
        assertion of 3.1.0 fails on some recirculations with an action set), or one that it follows for longer
        than `openflow_unixctl.PATIENCE`: near the limits of a translation 3.1.0 takes up to a minute and a
        gigabyte for its own text. The other packets of such a pipeline are not asked about.
    """

    def __init__(self, switch: PrivateSwitch, refused: Callable[[str], None] | None = None) -> None:
        self._switch = switch
        self._refused = refused or (lambda _text: None)
        self._bridges: tuple[Any, ...] = ()
        self._dpif = ""
        self._loaded: Pipeline | None = None
        self._slow = False

    @property
    def dpif(self) -> str:
        """What ``dpif/show`` printed of the bridges that are loaded."""
        return self._dpif

    def load(self, pipeline: Pipeline) -> Setting | None:
        """Load a pipeline, and give it as the switch dumps it; None if the switch refuses it."""
        shape = tuple(
            (bridge.name, bridge.ports, bridge.flows, bridge.mirrors, bridge.tlv_map, bridge.address)
            for bridge in pipeline.bridges
        )
        if shape != self._bridges:
            self._switch.bridges(pipeline.bridges)
            for bridge in pipeline.bridges[1:]:
                self._switch.load(bridge.name, bridge.flows, bridge.groups)
            self._dpif = self._switch.control.ask("dpif/show")
            self._bridges = shape
        given, *others = pipeline.records()
        try:
            self._switch.load(given.name, given.flows, given.groups)
            flows, groups = self._switch.dumped(given.name, groups=bool(given.groups))
        except LoadError as error:
            self._refused(str(error))
            return None
        self._loaded = pipeline
        records = (replace(given, flows=flows, groups=groups), *others)
        return Setting({record.name: record for record in records}, datapath_of(self._dpif))

    def ask(self, setting: Setting, packet: DrawnPacket, name: str, kind: str = "live") -> TraceCase | None:
        """Trace one packet; None if the switch cannot read it."""
        bridge = next(iter(setting.bridges))
        args = packet.args(bridge)
        try:
            stdout = self._switch.trace(*args)
        except RefusedError as error:
            self._refused(str(error))
            return None
        except TimeoutError:
            self._refused(SLOW)
            self._slow = True
            self._revive()
            return None
        except OSError:
            self._refused(DIED)
            self._revive()
            return None
        said = said_of(printed(stdout))
        return TraceCase(
            name, kind, name, setting, bridge, args, packet.ct_next, said.told, said.tables, stdout
        )

    def _revive(self) -> None:
        """Start the switch anew and load what it had."""
        self._switch.restart()
        self._bridges = ()
        if self._loaded is not None:
            self.load(self._loaded)

    def cases(
        self, pipelines: Iterable[tuple[Pipeline, list[DrawnPacket]]], count: int
    ) -> Iterator[tuple[Pipeline, DrawnPacket, TraceCase]]:
        """Trace packets, as many as are wanted, pipeline by pipeline."""
        done = 0
        for pipeline, packets in pipelines:
            setting = self.load(pipeline)
            if setting is None:
                continue
            self._slow = False
            for number, packet in enumerate(packets):
                if done == count:
                    return
                if self._slow:
                    break
                case = self.ask(setting, packet, f"{pipeline.name}/{number}")
                if case is not None:
                    done += 1
                    yield pipeline, packet, case


def line_of_case(case: TraceCase, dpif: str) -> str:
    """Return one line of a recording in the form ``cases``, with its newline."""
    bridges = {
        record.name: {
            "ports": [dict(row) for row in record.ports],
            "flows": list(record.flows),
            "groups": list(record.groups),
            **({"mirrors": [dict(row) for row in record.mirrors]} if record.mirrors else {}),
            **({"tlv_map": record.tlv_map} if record.tlv_map else {}),
            **({"address": record.address} if record.address else {}),
        }
        for record in case.setting.bridges.values()
    }
    expected = {name: value for name, value in printed(case.stdout).items() if name != "megaflow"}
    document = {
        "id": case.name,
        "class": case.kind,
        "args": list(case.args),
        "bridges": bridges,
        "dpif": dpif,
        "expected": expected,
    }
    return json.dumps(document, separators=(",", ":")) + "\n"
