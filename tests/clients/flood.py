"""asyncssh: a client that asks for far too much on one connection. Says "flooding" when it is at it, and goes on until
its standard input ends; then prints what became of it."""
import asyncio
import json
import sys

import asyncssh
from visit import connect

CHANNELS = 400
REQUESTS = 300_000


async def until_told():
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def at_it():
    print("flooding", flush=True)


async def channels(connection):
    """Opens channel after channel, and closes none."""
    async def one():
        try:
            return await connection.create_process("cat")
        except asyncssh.ChannelOpenError:
            return None

    opened = await asyncio.gather(*[one() for _ in range(CHANNELS)])
    at_it()
    await until_told()
    refused = sum(process is None for process in opened)
    return {"open": CHANNELS - refused, "refused": refused}


async def requests(connection):
    """Asks on one channel for one thing after the other: a new size, an unknown request, an unknown global request."""
    channel, _ = await connection.create_session(asyncssh.SSHClientSession, term_type="xterm", term_size=(80, 24))
    sent = 0
    try:
        for sent in range(REQUESTS):
            channel.change_terminal_size(80 + sent % 2, 24)
            if sent % 10 == 0:
                channel._send_request(b"nonsense@example.org")
                connection.send_packet(80, b"\0\0\0\x14nonsense@example.org\0")
            if sent == 2000:
                at_it()
            if sent % 100 == 0:
                await asyncio.sleep(0)
                while connection._transport and connection._transport.get_write_buffer_size() > 1 << 20:
                    await asyncio.sleep(0.01)
                if connection.is_closed():
                    break
    except (OSError, asyncssh.Error) as fault:
        return {"sent": sent, "ended": str(fault)}
    await until_told()
    return {"sent": sent}


async def main():
    connection = await connect()
    said = await {"channels": channels, "requests": requests}[sys.argv[2]](connection)
    print(json.dumps(said), flush=True)
    connection.abort()


asyncio.run(main())
