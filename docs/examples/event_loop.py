"""One thread for all connections: a connection costs a descriptor and an entry of epoll, not a thread with its two
memory maps, its process id and its stack."""

import asyncio
import sys


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
        await writer.drain()
    writer.close()


async def serve(host: str, port: int) -> asyncio.Server:
    return await asyncio.start_server(echo, host, port, backlog=4096)


async def main(host: str, port: int) -> None:
    async with await serve(host, port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
