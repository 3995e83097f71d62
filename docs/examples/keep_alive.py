"""One connection for many requests: it takes one local port. A connection for each request takes one for each, and
holds it for the 60 s of TIME_WAIT."""

import http.client
import sys


def main(host: str, port: int, requests: int) -> None:
    connection = http.client.HTTPConnection(host, port)
    for _ in range(requests):
        connection.request("GET", "/")
        # Only a body that was read to its end leaves the connection free for the next request.
        connection.getresponse().read()
    connection.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
