"""Where the time of a request goes: the name, the connection, the first byte of the answer, in milliseconds.

A connect() of one round trip is as fast as it can be. One that takes a second or more lost SYNs on the way."""

import socket
import sys
import time


def measure(host: str, port: int, request: bytes) -> dict[str, float]:
    times = [time.monotonic()]
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    times.append(time.monotonic())
    with socket.socket(family, kind, protocol) as client:
        client.connect(address)
        times.append(time.monotonic())
        client.sendall(request)
        client.recv(1)
        times.append(time.monotonic())
    steps = zip(("name", "connect", "first byte"), times, times[1:], strict=False)
    return {step: 1000 * (end - start) for step, start, end in steps}


if __name__ == "__main__":
    name, port = sys.argv[1], int(sys.argv[2])
    request = f"GET / HTTP/1.0\r\nHost: {name}\r\n\r\n".encode()
    for step, milliseconds in measure(name, port, request).items():
        print(f"{step:<10} {milliseconds:8.1f} ms")
