#!/usr/bin/env python3
"""Verifies a log of Sekimori without any of its code: verify_log.py LOG KEYS [ANCHOR...]

Needs Python and its `cryptography`. LOG is the folder, KEYS the file of verifier keys kept elsewhere, each ANCHOR an
older checkpoint kept elsewhere. Prints one line; ends with 0 if all agrees, 1 if not.
"""
import base64, hashlib, json, pathlib, sys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

sha = lambda data: hashlib.sha256(data).digest()
log, keys_file, *anchor_files = map(pathlib.Path, sys.argv[1:])


def check(holds, words):
    if not holds:
        sys.exit(print(f"ALTERED: {words}") or 1)


def checkpoint(path, key):
    """Size and root of a note that `key` signed."""
    check(path.is_file(), f"{path.name} is missing")
    text, _, signatures = path.read_bytes().decode().rpartition("\n\n")
    for line in signatures.splitlines():
        dash, name, blob = line.split(" ")
        blob = base64.b64decode(blob)
        if name == key[0] and blob[:4] == key[1]:
            try:
                Ed25519PublicKey.from_public_bytes(key[2]).verify(blob[4:], (text + "\n").encode())
            except InvalidSignature:
                check(False, f"{path.name}: the signature fails")
            origin, size, root = text.split("\n")
            check(origin == name, f"{path.name} is of another log")
            return int(size), base64.b64decode(root)
    check(False, f"{path.name} is not signed by the key in force")


def root_of(hashes):
    """RFC 6962, section 2.1, level by level: an odd one goes up as it is."""
    while len(hashes) > 1:
        pairs = [sha(b"\1" + a + b) for a, b in zip(hashes[::2], hashes[1::2])]
        hashes = pairs + hashes[len(pairs) * 2 :]
    return hashes[0] if hashes else sha(b"")


def resource(kind, index, width):
    path = "/".join(f"x{index // 1000**i % 1000:03}" for i in range(6, 0, -1) if index >= 1000**i)
    path = f"tile/{kind}/{path and path + '/'}{index % 1000:03}"
    part = f"{path}.p/{width}"  # a part that was swept when the whole was full is the beginning of the whole
    path = part if width < 256 and (log / part).is_file() else path
    check((log / path).is_file(), f"{path} is missing")
    return (log / path).read_bytes(), path == part or width == 256


keys = []
for line in filter(lambda line: line and line[0] != "#", map(str.strip, keys_file.read_text().split("\n"))):
    name, identifier, public = line.split("+", 2)
    public = base64.b64decode(public)
    check(sha(name.encode() + b"\n" + public)[:4].hex() == identifier, f"{name}: the identifier is not that of the key")
    keys += [(name, bytes.fromhex(identifier), public[1:], line)] * (public[0] == 1)
check(log.resolve() not in keys_file.resolve().parents, "the keys lie inside the log")

size, root = checkpoint(log / "checkpoint", keys[-1])
hashes, numbers, rotations, states = [], {}, [], {}
for index in range(-(-size // 256)):
    width = min(256, size - index * 256)
    (bundle, exact), (tile, _) = resource("entries", index, width), resource(0, index, width)
    tile = tile[: 32 * width]
    while bundle and tile:
        length = int.from_bytes(bundle[:2], "big")
        entry, bundle = bundle[2 : 2 + length], bundle[2 + length :]
        check(sha(b"\0" + entry) == tile[:32], f"entry {len(hashes)} is not the one that was sealed")
        hashes.append(tile[:32])
        tile = tile[32:]
        leaf = json.loads(entry)
        check(leaf["n"] == numbers.get(leaf["s"], 0) + 1, f"entry {len(hashes) - 1}: session {leaf['s']!r} has a gap")
        numbers[leaf["s"]] = leaf["n"]
        state = states.setdefault(leaf["s"], [False, 0])  # whether the session has closed, and how many holds are in force
        state[0] |= leaf["k"] == "session.close"
        state[1] += {"recording.held": 1, "recording.released": -1}.get(leaf["k"], 0)
        unfounded = leaf["k"] == "recording.purged" and state != [True, 0]
        check(not unfounded, f"entry {len(hashes) - 1}: a purge of what was live or held")
        if leaf["k"] == "log.key-rotated":
            rotations.append((len(hashes), leaf["h"]))
    full = len(hashes) == index * 256 + width and not tile and not (exact and bundle)
    check(full, f"bundle {index} holds another number of entries")
check(root_of(hashes) == root, "the entries do not lead to the root")
check(len(rotations) == len(keys) - 1, f"{len(rotations)} keys are introduced, the file has {len(keys) - 1} after the first")
for (at, digest), old, new in zip(rotations, keys, keys[1:]):
    check(sha(new[3].encode()).hex() == digest, f"entry {at - 1} introduces another key")
    check(checkpoint(log / f"rotation/{at}", old) == (at, root_of(hashes[:at])), f"rotation/{at} is of another log")
for path in anchor_files:
    at = int(path.read_text().split("\n")[1])
    then = checkpoint(path, keys[sum(rotated < at for rotated, _ in rotations)])
    check(then[0] <= size, f"{path.name}: the log had {then[0]} entries and has {size}")
    check(root_of(hashes[: then[0]]) == then[1], f"{path.name}: the log does not begin as it did then")
print(f"INTACT: {size} entries, {len(numbers)} sessions, {len(anchor_files)} anchors")
