#!/usr/bin/env python3
"""Recurrences as python-dateutil, which shares no code with ours, expands them. Writes the table that the tests compare with:

    python3 policy/tests/rrule_expectations.py > policy/tests/rrule_expectations.txt

Needs python-dateutil (2.9.0 wrote the committed table). Each line: first start | rule | number of starts | the starts (of more than seven: the first five and the last two)."""

from datetime import datetime
from itertools import product

from dateutil.rrule import rrulestr

FORMAT = "%Y-%m-%dT%H:%M"
BASES = [datetime(2026, 11, 24, 22, 0), datetime(2027, 1, 29, 6, 30), datetime(2028, 2, 1, 0, 0)]

PATTERNS = [
    *(f"FREQ=DAILY;INTERVAL={n}" for n in (1, 2, 9)),
    "FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR",
    "FREQ=DAILY;INTERVAL=3;BYDAY=SA,SU",
    *(f"FREQ=WEEKLY;INTERVAL={n}" for n in (1, 2, 5)),
    *(f"FREQ=WEEKLY;INTERVAL={n};BYDAY={d}" for n, d in product((1, 2, 3), ("TU", "MO,WE,FR", "SU,MO", "SA,SU"))),
    *(f"FREQ=MONTHLY;INTERVAL={n}" for n in (1, 3)),
    *(f"FREQ=MONTHLY;INTERVAL={n};BYDAY={d}" for n, d in product((1, 2), ("2TU", "-1FR", "1MO,3MO", "5SU", "-4WE"))),
    *(f"FREQ=MONTHLY;INTERVAL={n};BYMONTHDAY={d}" for n, d in product((1, 2), ("1", "15,30", "31", "-1", "-31,10"))),
]
BOUNDS = ["COUNT=1", "COUNT=7", "UNTIL={until}"]


def main():
    for base, pattern, bound in product(BASES, PATTERNS, BOUNDS):
        first = rrulestr(pattern + ";COUNT=1", dtstart=base)[0]
        until = first.replace(year=first.year + 1, day=1)
        rule = f"{pattern};{bound.format(until=until.strftime('%Y%m%dT%H%M%S'))}"
        starts = list(rrulestr(rule, dtstart=first))
        shown = starts if len(starts) <= 7 else starts[:5] + starts[-2:]
        print(first.strftime(FORMAT), rule, len(starts), " ".join(s.strftime(FORMAT) for s in shown), sep=" | ")


if __name__ == "__main__":
    main()
