"""A wire between two network namespaces, with delay and loss: packets travel between two TUN devices through this
process, so the kernels at both ends speak the TCP they always speak. It needs no `netem` in the kernel.

    wire.py NAMESPACE_PID NAME_HERE ADDRESS_HERE NAME_THERE ADDRESS_THERE DELAY_MS LOSS_PERCENT

The namespace is that of a process. Says "up" when the wire is. A line on standard input changes it: `cut` (nothing
moves any more, and nobody is told), `mend`. It ends with its standard input."""
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
# What a router's queue holds; more is lost, as there.
QUEUE = 2000


def tun(name):
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


def ip(*words, inside=None):
    enter = ["nsenter", "--net", "--target", inside, "--"] if inside else []
    subprocess.run([*enter, "ip", *words], check=True)


process, here, address_here, there, address_there, delay, loss = sys.argv[1:]
delay, loss = float(delay) / 1000, float(loss) / 100
ends = [tun(here), tun(there)]
ip("link", "set", there, "netns", process)
for name, address, inside in [(here, address_here, None), (there, address_there, process)]:
    ip("addr", "add", address, "dev", name, inside=inside)
    ip("link", "set", name, "up", inside=inside)
ip("link", "set", "lo", "up", inside=process)
chance = random.Random(7)
under_way, number, is_cut = [], 0, False
print("up", flush=True)
while True:
    wait = max(0, under_way[0][0] - time.monotonic()) if under_way else None
    ready, _, _ = select.select([*ends, sys.stdin], [], [], wait)
    if sys.stdin in ready:
        word = sys.stdin.readline()
        if not word:
            break
        is_cut = word.strip() == "cut"
        print(word.strip(), flush=True)
    for end in ends:
        if end not in ready:
            continue
        for _ in range(64):
            try:
                packet = os.read(end, 65535)
            except BlockingIOError:
                break
            if is_cut or len(under_way) >= QUEUE or chance.random() < loss:
                continue
            number += 1
            heapq.heappush(under_way, (time.monotonic() + delay, number, ends[1 - ends.index(end)], packet))
    now = time.monotonic()
    while under_way and under_way[0][0] <= now:
        _, _, end, packet = heapq.heappop(under_way)
        try:
            os.write(end, packet)
        except (BlockingIOError, OSError):
            pass
