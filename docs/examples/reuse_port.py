"""Workers with a listener each on one port: each has its own accept queue, and the kernel spreads the connections.

A worker that is stuck fills its own queue only. The kernel still sends it its share of new connections (socket(7),
SO_REUSEPORT), so it has to be replaced, not only waited for."""

import os
import socket
import sys


def listen(address: str, port: int, backlog: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((address, port))
    listener.listen(backlog)
    return listener


def serve(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nok\n")


if __name__ == "__main__":
    for _ in range(os.cpu_count() or 1):
        if os.fork() == 0:
            # Each worker makes its own socket, after fork(): one that it inherits has one queue for all.
            serve(listen(sys.argv[1], int(sys.argv[2]), 4096))
    os.wait()
