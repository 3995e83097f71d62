"""A server that closes a connection when its client has closed it, when it fails, and when it is idle.

recv() returns b"" when the client has closed: from then on the connection is in CLOSE_WAIT, until close()."""

import socket
import sys
import threading

IDLE_SECONDS = 60


def handle(connection: socket.socket) -> None:
    # `with` closes it on every way out: the end of the requests, an exception, the timeout.
    with connection:
        connection.settimeout(IDLE_SECONDS)
        while request := connection.recv(4096):
            connection.sendall(request)


def serve(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=handle, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    serve(socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=4096))
