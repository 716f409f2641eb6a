"""A small server: ``serve.py banner|echo|http ADDRESS PORT``. It says or answers one thing to each client."""

import socket
import sys
import threading

__all__ = ["answer"]

kind, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
BANNER = b"220 bothways lab\r\n"
PAGE = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nbothways lab\n"


def answer(client: socket.socket) -> None:
    """Serve one client."""
    with client:
        try:
            if kind == "banner":
                client.sendall(BANNER)
                client.recv(1)
            while kind != "banner" and (heard := client.recv(65536)):
                client.sendall(heard if kind == "echo" else PAGE)
                if kind == "http":
                    break
        except OSError:
            return


with socket.socket(family, socket.SOCK_STREAM) as server:
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, port))
    server.listen(64)
    while True:
        threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()
