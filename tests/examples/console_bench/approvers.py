"""So many browsers of approvers at once: each asks for the inbox every five seconds, and half of them watch a session.

    approvers.py HOST PORT CA COOKIE_JAR BROWSERS SECONDS SESSION

Prints the answers to /inbox, and their median and slowest milliseconds.
"""
import asyncio
import ssl
import sys
import time

host, port, ca, jar, browsers, seconds, session = sys.argv[1:]
lines = [line for line in open(jar) if "__Host-" in line]
cookie = "; ".join("=".join(line.rstrip("\n").split("\t")[5:7]) for line in lines)
context = ssl.create_default_context(cafile=ca)
end = time.monotonic() + float(seconds)
took = []


def request(path, more=""):
    return f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n{more}\r\n".encode()


async def opened():
    return await asyncio.open_connection(host, int(port), ssl=context)


async def polls(number):
    await asyncio.sleep(5 * number / int(browsers))
    read, write = await opened()
    while time.monotonic() < end:
        begun = time.monotonic()
        write.write(request("/inbox"))
        head = await read.readuntil(b"\r\n\r\n")
        assert b" 200 " in head.split(b"\r\n")[0] + b" ", head
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await read.readexactly(length)
        took.append(time.monotonic() - begun)
        await asyncio.sleep(max(0, 5 - (time.monotonic() - begun)))
    write.close()


async def watches():
    read, write = await opened()
    write.write(request(f"/sessions/{session}/live/stream", "Accept: application/x-ndjson\r\n"))
    head = await read.readuntil(b"\r\n\r\n")
    assert b" 200" in head.split(b"\r\n")[0], head
    while (left := end - time.monotonic()) > 0:
        try:
            assert await asyncio.wait_for(read.read(65536), left), "the watching ended"
        except asyncio.TimeoutError:
            break
    write.close()


async def all_of_them():
    count = int(browsers)
    await asyncio.gather(*[polls(number) for number in range(count)], *[watches() for _ in range(count // 2)])


asyncio.run(all_of_them())
took.sort()
print(f"{len(took)} {took[len(took) // 2] * 1000:.1f} {took[-1] * 1000:.1f}")
