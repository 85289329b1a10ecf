"""Opens a member's journal as it lies in a working folder, or in a sealed recording after a crash.

    age -d -i IDENTITY key.age > key
    python3 open_journal.py key 00001.cast OUT 00001.cast.journal

What OUT lacks of the member is added to it: all, or what follows the pieces that were sealed in time.
What a power cut tore at the end is left out and named; what was altered is left out as well, and the exit code is 1.
Without any of Sekimori's code, by the description in audit/src/recording/journal/mod.rs. Needs `cryptography`.
"""

import os
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

key_file, member, out, *journals = sys.argv[1:]
with open(key_file, "rb") as file:
    session_key = file.read()
cipher = AESGCM(HKDF(SHA256(), 32, b"sekimori journal 1", member.encode()).derive(session_key))

frames, altered = {}, []
for journal in journals:
    with open(journal, "rb") as file:
        stored = file.read()
    if stored.rstrip(b"\0") and not stored.startswith(b"SKMJRNL1"):
        sys.exit(f"{journal} is no journal of version 1")
    at = 8
    unopened = []  # frames that do not open: torn, unless one behind them opens
    while at + 28 <= len(stored):
        head = stored[at : at + 12]
        length = int.from_bytes(head[8:])
        end = at + 28 + length
        if not 0 < length <= 1 << 20 or end > len(stored):
            break  # no frame, or one that is cut off: it was never forwarded
        try:
            frames[int.from_bytes(head[:8])] = cipher.decrypt(head, stored[at + 12 : end], None)
            altered += unopened
            unopened = []
        except InvalidTag:
            unopened.append(f"{journal}: the frame at {at} was altered")
        at = end
    if unopened or stored[at:].rstrip(b"\0"):
        print(f"{journal}: torn; what stands behind its last frame that opens was left out", file=sys.stderr)

with open(out, "ab") as file:
    written = os.fstat(file.fileno()).st_size
    for position, data in sorted(frames.items()):
        file.write(bytes(max(position - written, 0)) + data[max(written - position, 0) :])  # gaps of copies read as zeros
        written = max(written, position + len(data))
if altered:
    sys.exit("\n".join(altered))
