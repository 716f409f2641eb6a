"""
Two namespaces with a wire, and datagrams between them: what the tracer's measurements look at. Root.

Run as a program it is one end: ``send ADDRESS PORT COUNT [RATE]`` or ``take ADDRESS PORT``.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import subprocess
import sys
import time

FROM, TO, PORT = "192.0.2.1", "192.0.2.2", 4444
BATCH = 500
ROUNDS = 4
ECHO_REQUEST = struct.pack(">BBHHH", 8, 0, 0xF7FF - 7, 7, 0)
BUFFER = 1 << 24
SO_RCVBUFFORCE = 33


class Part(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class Message(ctypes.Structure):
    """struct mmsghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("parts", ctypes.c_void_p),
        ("number", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("sent", ctypes.c_uint),
    )


class Site:
    """Two namespaces with a wire, and somebody who takes datagrams in the second one."""

    def __init__(self) -> None:
        self.names = [f"bwbench{os.getpid()}-{side}" for side in "ab"]
        first, second = self.names
        for name in self.names:
            self._ip("netns", "add", name)
        self._ip("link", "add", "w", "netns", first, "type", "veth", "peer", "name", "w", "netns", second)
        for name, address in zip(self.names, (FROM, TO), strict=True):
            self._ip("-n", name, "addr", "add", address + "/30", "dev", "w")
            self._ip("-n", name, "link", "set", "w", "up")
        self._taker = subprocess.Popen(self._end(second, "take"), stdout=subprocess.PIPE)
        if self._taker.stdout is None or not self._taker.stdout.readline():
            raise SystemExit("nobody takes datagrams in the second namespace")

    @staticmethod
    def _ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    @staticmethod
    def _end(namespace: str, *words: str) -> list[str]:
        inside = ["ip", "netns", "exec", namespace]
        return [*inside, sys.executable, __file__, words[0], TO, str(PORT), *words[1:]]

    def send(self, count: int, rate: int = 0) -> subprocess.Popen[bytes]:
        """Begin to send so many datagrams, so many a second, or as fast as it goes."""
        return subprocess.Popen(self._end(self.names[0], "send", str(count), str(rate)))

    def close(self) -> None:
        """Take everything away."""
        self._taker.terminate()
        self._taker.wait()
        for name in self.names:
            self._ip("netns", "del", name)


def send_many(kind: int, protocol: int, port: int, data: bytes, count: int, rate: int) -> None:
    """Send with few calls, so that what is measured is not how a sender's own work empties the caches."""
    sender = socket.socket(socket.AF_INET, kind, protocol)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    text = ctypes.create_string_buffer(data)
    part = Part(ctypes.addressof(text), len(data))
    to = ctypes.create_string_buffer(struct.pack("=HH4s8x", 2, socket.htons(port), socket.inet_aton(TO)))
    one = (ctypes.addressof(to), 16, ctypes.addressof(part), 1)
    messages = (Message * BATCH)(*[Message(*one) for _ in range(BATCH)])
    system = ctypes.CDLL(None)
    began = time.monotonic()
    for batch in range(count // BATCH):
        if rate:
            time.sleep(max(0.0, began + batch * BATCH / rate - time.monotonic()))
        at = 0
        while at < BATCH:
            at += max(1, system.sendmmsg(sender.fileno(), ctypes.byref(messages[at]), BATCH - at, 0))


def send(port: int, count: int, rate: int) -> None:
    """Send datagrams that are taken, others to a port where nobody is, and echo requests."""
    for _ in range(ROUNDS):
        send_many(socket.SOCK_DGRAM, socket.IPPROTO_UDP, port, bytes(16), count // ROUNDS // 2, rate)
        send_many(socket.SOCK_DGRAM, socket.IPPROTO_UDP, port + 1, bytes(16), count // ROUNDS // 4, rate)
        send_many(socket.SOCK_RAW, socket.IPPROTO_ICMP, 0, ECHO_REQUEST, count // ROUNDS // 4, rate)


def take(address: str, port: int) -> None:
    """Take datagrams until somebody ends it."""
    taker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    taker.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    taker.bind((address, port))
    print("bound", flush=True)
    while True:
        taker.recv(64)


if __name__ == "__main__":
    _, what, address, port, *rest = sys.argv
    if what == "send":
        send(int(port), *map(int, rest))
    else:
        take(address, int(port))
