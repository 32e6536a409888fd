"""How late attempts were against the time that the queue had given them.

    lateness.py LOG ...     the JSON logs of all delivery workers

An entry that was deferred or set aside has the time of its next attempt in the log, to the second.
"""

import datetime
import email.utils
import json
import sys

events = []
for path in sys.argv[1:]:
    for line in open(path):
        try:
            record = json.loads(line)
        except ValueError:  # the last line of a worker that was killed
            continue
        if record.get("event") in ("attempt", "deferred", "parked"):
            at = datetime.datetime.fromisoformat(record["timestamp"].replace("Z", "+00:00"))
            events.append((at, record))
events.sort(key=lambda event: event[0])

due, late, parked = {}, [], 0
for at, record in events:
    entry = record["entry"]
    if record["event"] == "attempt":
        if entry in due:
            late.append((at - due.pop(entry)).total_seconds())
    else:
        parked += record["event"] == "parked"
        due[entry] = email.utils.parsedate_to_datetime(record.get("next_attempt") or record["until"])
late.sort()
if not late:
    sys.exit("no attempt had been given a time")
at = lambda share: late[round((len(late) - 1) * share)]
end = events[-1][0]
missed = [entry for entry, time in due.items() if (end - time).total_seconds() > 10]
print(f"  attempts at a given time: {len(late)}; late by p50 {at(0.5):.1f} s, p99 {at(0.99):.1f} s, max {at(1):.1f} s; "
      f"set aside {parked} times; never came: {len(missed)}")
