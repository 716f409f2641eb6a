"""
Visiting a table: whether the switch still does, which flow is hit, and what happens where it does not.

``xlate_resubmit_resource_check``, ``xlate_table_action`` and ``xlate_recursively`` of
``ofproto/ofproto-dpif-xlate.c``. Where a limit is met, the translation fails and nothing of it goes out;
behind a patch port only the part behind it ends, and what it has sent goes out (``patch_port_output``).
"""

from __future__ import annotations

from typing import Final

from bothways.facts.span import Span
from bothways.model.openflow.frame import Frame
from bothways.model.openflow.match import words
from bothways.model.openflow.run import Run
from bothways.model.openflow.tables import look_up
from bothways.model.openflow.volume import Volume, volume

__all__ = ["begin", "may_visit", "visit"]

#: how often a packet may go back to the same or an earlier table, and how many look-ups it gets in all
_DEPTH: Final = 64
_LOOKUPS: Final = 4096
#: outputs that take few bytes, whatever is set before each
_FEW: Final = 100
#: bytes on the stack
_STACK_BYTES: Final = 0xFFFF


def may_visit(run: Run, depth: int) -> bool:
    """Whether the switch looks up one more table or group; if not, what happens instead has happened."""
    few = len(run.outputs) <= _FEW and not run.beside
    if few and depth < _DEPTH and run.lookups < _LOOKUPS and not run.stack:
        return True
    written = volume(run)
    if run.unordered and depth < _DEPTH and (run.lookups >= _LOOKUPS or written is not Volume.FITS):
        run.doubt(f"where Open vSwitch stops to follow {run.where}: a flood has no order", blind=True)
    if depth >= _DEPTH:
        _give_up(run, "tables are entered again and again")
    elif run.lookups >= _LOOKUPS:
        _give_up(run, f"more than {_LOOKUPS} look-ups")
    elif written is Volume.EXCEEDS:
        run.lose("Open vSwitch enters no more tables: more than 64 kB of actions")
        run.stop()
    elif sum(octets for _, _, octets in run.stack) > _STACK_BYTES:
        _give_up(run, f"more than {_STACK_BYTES} bytes on the stack")
    else:
        if written is Volume.UNCERTAIN:
            run.doubt(
                f"where Open vSwitch stops to follow {run.where}: its actions may take more than 64 kB",
                blind=True,
            )
        return True
    return False


def begin(run: Run, table: int) -> None:
    """Look up the table that a translation begins with, which is not counted."""
    run.lookups = -1
    visit(run, table)


def visit(
    run: Run,
    table: int,
    in_port: int | None = None,
    *,
    depth: int = 0,
    deeper: bool = False,
    original: bool = False,
) -> None:
    """
    Look a table up and put the actions of the flow that is hit on top.

    :param in_port: ingress port that only this look-up sees, None = the packet's.
    :param original: this look-up sees the addresses and ports of the connection's original direction.
    :param depth: how often the way here went back, *deeper* if this very look-up does. The switch asks for
        the depth that it comes from.
    """
    if not may_visit(run, depth - deeper):
        return
    key = run.key.turned() if original else run.key
    tables = run.learned.tables(run.bridge, run.tables)
    if in_port is None:
        found = look_up(run.bridge, tables, table, key, run.oracle)
    else:
        port = key.in_port
        key.in_port = in_port
        found = look_up(run.bridge, tables, table, key, run.oracle)
        key.in_port = port
    for text in found.unknown:
        run.doubt(text)
    run.visited.append((run.bridge.name, table, found.flow))
    run.lookups += 1  # a miss is a rule, too
    if found.flow is None:
        _miss(run, table)
        return
    flow = found.flow
    evidence: tuple[Span, ...] = (flow.span,)
    if found.clauses:
        evidence += tuple(clause.span for clause in found.clauses)
    run.open(Frame(table, flow.actions, evidence, words(flow), depth, len(run.steps)))


def _give_up(run: Run, why: str) -> None:
    """End the translation: nothing of it goes out, but for what a part behind a patch port has sent."""
    run.failed = True
    run.stop()
    run.actions_of_set.clear()
    run.lose(f"Open vSwitch gives the packet up: {why}")
    if run.patched is not None:
        return
    outputs, frozen = run.earlier
    del run.outputs[outputs:]
    if not run.traced:  # ofproto/trace goes on with what waits for a tracker, and no switch does
        del run.frozen[frozen:]


def _miss(run: Run, table: int) -> None:
    flows = run.bridge.flows
    if flows is not None and not flows.whole:
        run.doubt(
            f"which flow of {run.bridge.host} {run.bridge.name} table {table} matches: "
            f"the dump is a filtered view ({flows.partial}), and none that it shows does",
            blind=True,
        )
    run.lose(f"no flow of table {table} matches")
