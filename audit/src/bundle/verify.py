#!/usr/bin/env python3
"""Verifies the evidence of one session without Sekimori: verify.py [FOLDER] [--keys FILE]

Needs Python and its `cryptography`. FOLDER is what the archive unpacks to, by default where this script lies; FILE the
log's verifier keys as you were handed them. Prints what was found; ends with 0 if all agrees, 1 if not.
"""
import argparse, base64, datetime, hashlib, json, pathlib, sys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

sha = lambda data: hashlib.sha256(data).digest()
LOG, WITNESS = 1, 4


def check(holds, words):
    if not holds:
        sys.exit(print(ascii(f"ALTERED: {words}")[1:-1]) or 1)


def decoded(text):
    """What base64 says; there is one spelling for it."""
    data = base64.b64decode(text, validate=True)
    check(base64.b64encode(data).decode() == text, f"{text} is spelt in another way")
    return data


def keys_of(text):
    """(role, name, identifier, public key) a line, in their order."""
    keys = []
    for line in filter(lambda line: line and line[0] != "#", map(str.strip, text.split("\n"))):
        name, identifier, public = line.split("+", 2)
        public = decoded(public)
        check(sha(name.encode() + b"\n" + public)[:4].hex() == identifier, f"the key of {name} is not the one that its identifier names")
        keys.append((public[0], name, bytes.fromhex(identifier), public[1:]))
    return keys


def checkpoint_of(note, keys):
    """Size, root, the numbers of the log's keys that signed, and who cosigned when. Nobody unknown counts; a known signature has to hold."""
    text, _, signatures = note.decode().rpartition("\n\n")
    origin, size, root = text.split("\n")
    log = [key for key in keys if key[0] == LOG]
    own, others = [], []
    for line in signatures.removesuffix("\n").split("\n"):
        dash, name, blob = line.split(" ")
        blob = decoded(blob)
        for key in (key for key in keys if (key[1], key[2]) == (name, blob[:4])):
            signed, signature = (text + "\n").encode(), blob[4:]
            if key[0] == WITNESS:
                time, signature = int.from_bytes(signature[:8], "big"), signature[8:]
                signed = f"cosignature/v1\ntime {time}\n".encode() + signed
                others.append((name, time))
            elif name == origin:
                own.append(log.index(key) + 1)
            try:
                Ed25519PublicKey.from_public_bytes(key[3]).verify(signature, signed)
            except InvalidSignature:
                check(False, f"checkpoint: the signature of {name} fails")
    check(own, "checkpoint: no key of this log signed it")
    return int(size), decoded(root), own, others


def proved(leaf, index, size, path, root):
    """RFC 9162, section 2.1.3.2."""
    at, last, reached = index, size - 1, sha(b"\0" + leaf)
    check(0 <= at <= last, f"entry {index} lies behind the checkpoint")
    for step in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            reached = sha(b"\1" + step + reached)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            reached = sha(b"\1" + reached + step)
        at, last = at >> 1, last >> 1
    return last == 0 and reached == root


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent)
    parser.add_argument("--keys", type=pathlib.Path)
    wanted = parser.parse_args()
    files = {path.relative_to(wanted.folder).as_posix(): path for path in wanted.folder.rglob("*") if not path.is_dir()}
    used = {"README.txt", "verify.py"}

    def read(name):
        check(name in files, f"{name} is missing")
        used.add(name)
        return files[name].read_bytes()

    def measured(name):
        """SHA-256 and size; recordings may be larger than memory."""
        used.add(name)
        digest, size = hashlib.sha256(), 0
        with files[name].open("rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
                size += len(part)
        return digest.hexdigest(), size

    def below(folder):
        return {name[len(folder) :]: measured(name) for name in sorted(files) if name.startswith(folder)}

    handed = keys_of(read("keys").decode())
    keys = keys_of(wanted.keys.read_text()) if wanted.keys else handed
    note = read("checkpoint")
    size, root, signers, witnesses = checkpoint_of(note, keys)

    events, pieces, sessions = [], {}, set()
    names = sorted((name for name in files if name.startswith("events/") and name.endswith(".leaf")), key=lambda name: int(name[7:-5]))
    for name in names:
        index, base = int(name[7:-5]), name[:-5]
        leaf = read(name)
        head, _, checkpoint = read(f"{base}.proof").partition(b"\n\n")
        title, place, *path = head.decode().split("\n")
        check(title == "c2sp.org/tlog-proof@v1" and place == f"index {index}", f"{base}.proof is of another entry")
        check(checkpoint == note, f"{base}.proof rests on another checkpoint")
        path = [decoded(step) for step in path]
        check(proved(leaf, index, size, path, root), f"{name} is not what was sealed, or its proof is not its own")
        said = json.loads(leaf)
        sessions.add(said["s"])
        check(said["n"] == len(events) + 1, f"{name}: an event of the session is missing before it")
        body = None
        if said["k"] == "recording.segment":
            # The fingerprint is that of the sealed file itself.
            pieces[said["h"]] = said["len"]
        else:
            text = read(f"{base}.json")
            salt = read(f"{base}.salt").decode()
            check(bytes.fromhex(salt).hex() == salt, f"{base}.salt is spelt in another way")
            stored = bytes.fromhex(salt) + text
            check(sha(stored).hex() == said["h"] and len(stored) == said["len"], f"{base}.json is not the event that was sealed")
            body = json.loads(text)
            check((body["kind"], body["session"]) == (said["k"], said["s"]), f"{base}.json tells of something else")
        events.append((said, body))
    kinds = [said["k"] for said, _ in events]
    check(len(sessions) == 1 and "" not in sessions, "the events are not of one session")
    check(kinds[:1] == ["session.open"], "the session's first event is missing")
    check(kinds.count("session.close") == 1 and kinds.count("recording.sealed") == 1, "the session's end is missing")
    [session], detail = sessions, {said["k"]: body and body["detail"] for said, body in events}

    recording = below("recording/")
    for name, (digest, length) in recording.items():
        check(pieces.pop(digest, None) == length, f"recording/{name} is not what was sealed")
    check(not pieces, f"{len(pieces)} files of the recording are missing")
    index = read("recording/index.json")
    check(sha(index).hex() == detail["recording.sealed"]["index_sha256"], "recording/index.json is another")
    index = json.loads(index)
    check(index["session"] == session, "recording/index.json is of another session")
    form = lambda piece: "journal" if piece.get("journal") else "zst.age"
    pieces = [(member["name"], number, piece) for member in index["members"] for number, piece in enumerate(member["pieces"], 1)]
    listed = {f"{name}.{number:06}.{form(piece)}": piece["sha256"] for name, number, piece in pieces}
    listed |= {"key.age": index["key"]["sha256"]} if index.get("key") else {}
    found = {name: digest for name, (digest, _) in recording.items() if name != "index.json"}
    check(listed == found, "recording/index.json names other files")

    opened = below("opened/")
    if opened:
        digest, _ = opened.pop("manifest.json", (None, 0))
        check(digest and digest == detail["session.close"].get("manifest_sha256"), "opened/manifest.json is not the one that the session ended with")
        listed = {member["name"]: (member["sha256"], member["size"]) for member in json.loads(read("opened/manifest.json"))["members"]}
        for name in sorted(listed.keys() | opened.keys()):
            check(name in listed and name in opened, f"opened/{name} is missing, or was never recorded")
            check(opened[name] == listed[name], f"opened/{name} is not what was recorded")
    for name in sorted(files.keys() - used):
        check(False, f"{name} does not belong here")

    when = lambda seconds: datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    for said, body in events:
        if body:
            who = body["actor"]["person"] or body["person"] or ""
            print(ascii(f"{when(said['t'] / 1e6)}  {said['k']:20} {who}")[1:-1])
    stored = sum(length for _, length in recording.values())
    print(f"INTACT: session {session}, {len(events)} events, {len(recording)} files of the recording ({stored} bytes), {len(opened)} opened")
    count = sum(key[0] == LOG for key in keys)
    print(f"sealed in the log {keys[0][1]} under its checkpoint of {size} entries, signed by key {max(signers)} of {count}")
    if max(signers) < count:
        print("WARNING: that key was succeeded by another. Who stole it later could have signed this: ask for a newer export")
    for name, time in witnesses:
        print(f"cosigned by {name} at {when(time)}")
    if not wanted.keys:
        print("WARNING: the keys came with the archive. Compare them with those that you were handed, or give --keys FILE:")
        for key in keys:
            print(f"  {key[1]}+{key[2].hex()}+{base64.b64encode(bytes([key[0]]) + key[3]).decode()}")


try:
    main()
except Exception as fault:  # what cannot even be read is not what was handed over
    check(False, f"it cannot be read: {type(fault).__name__}: {fault}")
