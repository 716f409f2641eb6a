"""
How often a stack complains to one sender: the account that the kernel keeps of every address (``inet_peer``).

``ip_error`` of ``net/ipv4/route.c``: five errors at once (``error_burst``), then one a second
(``error_cost``). ``ip_rt_send_redirect``: the first at once, each further one after twice the time of the one
before, nine at most; a silence of about 20 seconds (``redirect_silence``) begins anew. The sysctls belong to
the machine and not to a namespace; their defaults are taken. IPv4 only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

from bothways.facts.address import IPAddress

__all__ = ["BURST", "LIMIT_TOLD", "Peer", "Peers", "Witness"]

_SECOND_NS: Final = 1_000_000_000
#: Errors at once, and how long one takes to be earned again.
BURST: Final = 5
#: Redirects at most, the time that is doubled (``HZ / 50``), and the silence (``load << 10``).
_REDIRECTS: Final = 9
_LOAD_NS: Final = _SECOND_NS // 50
_SILENCE_NS: Final = _LOAD_NS << (_REDIRECTS + 1)

#: What a reader should know of such an error.
LIMIT_TOLD: Final = f"the kernel tells one sender {BURST} times at once, then once a second"


@runtime_checkable
class Witness(Protocol):
    """An oracle that saw whether the kernel kept an error to itself."""

    def kept_back(self, peer: IPAddress, *, spent: bool) -> bool:
        """
        Whether the error was not sent.

        :param spent: True if the errors of this walk alone used up what the peer may get.
        """


@dataclass(slots=True)
class Peer:
    """
    One address that was complained to.

    :param tokens: nanoseconds that may still be spent on errors.
    :param at_ns: when it was last looked at.
    :param redirects: how many it got, the last of them *redirected_ns*.
    """

    tokens: int = BURST * _SECOND_NS
    at_ns: int = 0
    redirects: int = 0
    redirected_ns: int = 0

    def left(self, now_ns: int) -> int:
        """What may be spent now."""
        return min(BURST * _SECOND_NS, self.tokens + max(0, now_ns - self.at_ns))

    def spend(self, now_ns: int) -> bool:
        """Pay for one error; False if the peer has to wait for it."""
        self.tokens = self.left(now_ns)
        self.at_ns = now_ns
        paid = self.tokens >= _SECOND_NS
        self.tokens -= _SECOND_NS if paid else 0
        return paid

    def redirect(self, now_ns: int) -> bool:
        """Count one redirect; False if it is not sent."""
        since = now_ns - self.redirected_ns
        if self.redirects and since > _SILENCE_NS:
            self.redirects = 0
        if self.redirects >= _REDIRECTS:
            self.redirected_ns = now_ns
            return False
        if self.redirects and since <= _LOAD_NS << self.redirects:
            return False
        self.redirects += 1
        self.redirected_ns = now_ns
        return True


@dataclass(slots=True)
class Peers:
    """Everybody that a namespace complained to in one walk."""

    known: dict[IPAddress, Peer] = field(default_factory=dict)

    def of(self, address: IPAddress) -> Peer:
        """The account of an address, a full one where nothing is known of it."""
        return self.known.setdefault(address, Peer())
