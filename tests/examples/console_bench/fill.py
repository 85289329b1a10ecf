"""Fills a hospital's SQLite database with devices and ended sessions, copies of one that is there, spread over two years.

    fill.py DATABASE DEVICES SESSIONS
"""
import json
import sqlite3
import sys
import uuid

database, devices, sessions = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
db = sqlite3.connect(database, timeout=60)
db.row_factory = sqlite3.Row
with db:
    first = dict(db.execute("SELECT * FROM device WHERE id IN (SELECT device FROM session) LIMIT 1").fetchone())
    for number in range(devices):
        document = json.loads(first["document"])
        name = f"unit-{number:05}"
        document["id"] = name
        row = first | {"id": name, "name": f"検査室 装置 {number}", "document": json.dumps(document, ensure_ascii=False)}
        db.execute(f"INSERT INTO device ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values()))
    ended = dict(db.execute("SELECT * FROM session WHERE closed IS NOT NULL LIMIT 1").fetchone())
    two_years = 2 * 365 * 86400 * 1_000_000
    for number in range(sessions):
        back = two_years * (sessions - number) // sessions
        row = ended | {
            # Identifiers sort by time, as the gateway's do.
            "id": str(uuid.UUID(int=((ended["opened"] - back) // 1000 << 80) | (7 << 76) | (2 << 62) | number)),
            "device": f"unit-{number % devices:05}" if number % 3 else ended["device"],
            "opened": ended["opened"] - back,
            "until": ended["until"] - back,
            "closed": ended["closed"] - back,
        }
        db.execute(f"INSERT INTO session ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values()))
db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
print(db.execute("SELECT count(*) FROM device").fetchone()[0], db.execute("SELECT count(*) FROM session").fetchone()[0])
