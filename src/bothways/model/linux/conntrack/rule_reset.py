"""A rule that answers with a RST ends the connection in the tracker as well."""

from __future__ import annotations

from typing import Final

from bothways.model.linux.conntrack.entry import TrackedConnection
from bothways.model.linux.conntrack.settings import Settings
from bothways.model.linux.conntrack.tcp import TcpState

__all__ = ["closed_by_rule"]

_SECOND: Final = 1_000_000_000
_LIMIT: Final = "nf_conntrack_tcp_timeout_close"


def closed_by_rule(connection: TrackedConnection, now_ns: int, settings: Settings) -> None:
    """
    Close a TCP connection to which a REJECT rule sent a RST (``nf_ct_set_closing``).

    Its time becomes that of CLOSE, unless it was closed already or its time is fixed. One that is not in the
    table yet stays as it is (seen on 6.18).
    """
    memory = connection.tcp
    if memory is None or "CONFIRMED" not in connection.status:
        return
    before, memory.state = memory.state, TcpState.CLOSE
    if before is not TcpState.CLOSE and "FIXED_TIMEOUT" not in connection.status:
        connection.limit, connection.expires_ns = _LIMIT, now_ns + settings.value(_LIMIT) * _SECOND
