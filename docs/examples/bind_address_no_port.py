"""Connect from a source address without a port that is taken from all destinations: connect() chooses it.

Without the option bind((address, 0)) takes a port that no other destination can have (ip(7), since Linux 4.2)."""

import socket
import sys

# Python has the name from 3.11 on.
IP_BIND_ADDRESS_NO_PORT = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24)


def connect(source: str, destination: tuple[str, int]) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    client.bind((source, 0))
    client.connect(destination)
    return client


if __name__ == "__main__":
    print(connect(sys.argv[1], (sys.argv[2], int(sys.argv[3]))).getsockname())
