"""Log to a unix datagram socket such as /dev/log without ever waiting for its reader.

send() on a blocking socket waits while the queue of the reader is full, and the program with it. Here a message
that does not fit is dropped and counted."""

import socket
import sys


class LogSocket:
    def __init__(self, path: str) -> None:
        self.dropped = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.connect(path)

    def send(self, message: str) -> bool:
        """Return whether the message was sent. Any error of the log counts as a drop; the program goes on."""
        try:
            self._socket.send(message.encode())
        except OSError:
            self.dropped += 1
            return False
        return True


if __name__ == "__main__":
    log = LogSocket(sys.argv[1])
    sent = sum(log.send(f"<30>web: request {number}") for number in range(int(sys.argv[2])))
    print(sent, log.dropped)
