"""Send a gratuitous ARP for each ``DEVICE=ADDRESS`` that it is given (RFC 5227, as ``arping -A`` does)."""

import socket
import sys
from pathlib import Path

for word in sys.argv[1:]:
    device, _, address = word.partition("=")
    mac = bytes.fromhex(Path(f"/sys/class/net/{device}/address").read_text().strip().replace(":", ""))
    target = socket.inet_aton(address)
    head = b"\xff" * 6 + mac + bytes.fromhex("08060001080006040002")
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((device, 0))
        wire.send(head + mac + target + b"\xff" * 6 + target)
