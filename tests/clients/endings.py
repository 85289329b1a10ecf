"""asyncssh: how commands end, message by message: exit status, signal, end of file, and in which order they come."""
import asyncio
import json
import sys

import asyncssh
from visit import connect


class Order(asyncssh.SSHClientSession):
    """Notes what comes, in its order; data only by its first piece."""

    def __init__(self):
        self.seen = []
        self.data = b""
        self.arrived = asyncio.Event()

    def data_received(self, data, datatype):
        if "data" not in self.seen:
            self.seen.append("data")
        self.data += data
        self.arrived.set()

    def eof_received(self):
        self.seen.append("eof")
        return True

    def exit_status_received(self, status):
        self.seen.append(f"status {status}")

    def exit_signal_received(self, signal, core_dumped, msg, lang):
        self.seen.append(f"signal {signal}")

    def connection_lost(self, exc):
        self.seen.append("close")


async def ended(connection, command, send=b"\n", once_told=b""):
    """Runs a command that ends after it has read: asyncssh tells of a status at once, and holds data back while it starts.
    So does a device's sshd that sees at once that a command wrote and ended: one that reads `once_told` ends after."""
    channel, session = await connection.create_session(Order, command, encoding=None)
    channel.write(send)
    if once_told:
        await session.arrived.wait()
        channel.write(once_told)
    channel.write_eof()
    await channel.wait_closed()
    return session


async def main():
    said = {}
    async with connect() as connection:
        plain = await ended(connection, "read go; printf out; read on; exit 7", once_told=b"\n")
        said["status"] = plain.seen
        said["killed"] = (await ended(connection, "read go; printf out; read on; kill -TERM $$", once_told=b"\n")).seen
        early = await ended(connection, "read go; exec >&- 2>&-; sleep 0.7; exit 4")
        said["early_eof"] = early.seen
        late = await ended(connection, "cat; printf -- -after-eof", send=b"in")
        said["after_eof"] = late.data.decode()
        whole = await ended(connection, "read go; head -c 3000000 /dev/zero; exit 3")
        said["whole"] = [len(whole.data), whole.seen[-1], "status 3" in whole.seen]
    json.dump(said, sys.stdout)


asyncio.run(main())
