"""Starts the relay, lets one message pass through it to a receiver that greylists it first,
shows what happened to it, and keeps the relay running. Called by deploy/local/up."""

import asyncio
import json
import os
import signal
import smtplib
import subprocess
import sys
import time
from pathlib import Path

RELAY = ("127.0.0.1", 2525)
RECEIVER = ("127.0.0.1", 2526)
ADMIN = "127.0.0.1:7003"
METRICS = "127.0.0.1:9090"
LOCAL = Path(".local")
TOKEN = LOCAL / "data/operator-token"
START_LIMIT = 60
STEP_LIMIT = 30


class Receiver:
    """An SMTP server that refuses each recipient once with 451, then accepts."""

    def __init__(self):
        self.seen = set()

    async def serve(self, reader, writer):
        recipients = 0
        writer.write(b"220 receiver.demo ESMTP\r\n")
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                writer.write(b"250-receiver.demo\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
            elif verb == b"RCPT":
                if line in self.seen:
                    recipients += 1
                    writer.write(b"250 2.1.5 ok\r\n")
                else:
                    self.seen.add(line)
                    writer.write(b"451 4.7.1 greylisted, please come again\r\n")
            elif verb == b"DATA" and not recipients:
                writer.write(b"554 5.5.1 no valid recipients\r\n")
            elif verb == b"DATA":
                writer.write(b"354 go ahead\r\n")
                await writer.drain()
                while await reader.readline() not in (b".\r\n", b""):
                    pass
                writer.write(b"250 2.0.0 received\r\n")
            elif verb == b"QUIT":
                writer.write(b"221 2.0.0 bye\r\n")
                break
            else:
                recipients = 0
                writer.write(b"250 2.0.0 ok\r\n")
            await writer.drain()
        writer.close()


class Relay:
    def __init__(self, programs):
        self.programs = programs
        self.log = LOCAL / "relay.log"

    def start(self):
        command = [
            self.programs / "hikyaku", "up",
            "--data-dir", LOCAL / "data",
            "--smtp", f"{RELAY[0]}:{RELAY[1]}",
            "--relay-from", "127.0.0.1/32",
            "--own-domain", f"demo.example={RECEIVER[0]}:{RECEIVER[1]}",
            "--hostname", "relay.demo.example",
            "--nats-server", LOCAL / "bin/nats-server",
            "--metrics", METRICS,
        ]
        environment = {**os.environ, "HIKYAKU__LOG": "json"}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, env=environment, start_new_session=True)

    def events(self):
        for line in self.log.read_text().splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                pass  # half a line; it is read again

    async def wait(self, what, limit, wanted):
        end = time.monotonic() + limit
        while time.monotonic() < end:
            for event in self.events():
                if wanted(event):
                    return event
            if self.process.poll() is not None:
                raise SystemExit(f"the relay ended; its log is {self.log}")
            await asyncio.sleep(0.05)
        raise SystemExit(f"{what} did not happen within {limit} s; the log is {self.log}")

    def ctl(self, *arguments):
        program = self.programs / "hikyakuctl"
        command = [program, "--server", f"http://{ADMIN}", "--token-file", TOKEN, *arguments]
        return subprocess.run(command, check=True)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()


def send():
    """One message; returns the queue id of the 250."""
    with smtplib.SMTP(*RELAY) as client:
        client.ehlo("client.demo")
        client.mail("<sender@office.example>")
        client.rcpt("<you@demo.example>")
        code, text = client.data("From: sender@office.example\r\nTo: you@demo.example\r\nSubject: hello\r\n\r\nHello.\r\n")
        if code != 250:
            raise SystemExit(f"the relay refused the message: {code} {text.decode()}")
        return text.decode().split()[-1]


async def show_one_message(relay):
    loop = asyncio.get_running_loop()

    def step(event, detail):
        print(f"  {event['timestamp']}  {detail}", flush=True)

    def mail(name):
        return lambda event: event.get("event") == name and event.get("queue_id") == queue_id

    queue_id = await loop.run_in_executor(None, send)
    print(f"\nthe life of message {queue_id}:")
    event = await relay.wait("acceptance", STEP_LIMIT, mail("accepted"))
    step(event, f"accepted   from {event['sender']} for {event['recipients']}, on disk")
    event = await relay.wait("the first attempt", STEP_LIMIT, mail("deferred"))
    step(event, f"451        {event['cause']}")
    step(event, f"scheduled  next attempt at {event['next_attempt']}")
    print("\n$ hikyakuctl queue list")
    await loop.run_in_executor(None, relay.ctl, "queue", "list")
    print(f"\n$ hikyakuctl queue retry {queue_id}        (instead of waiting two minutes)")
    await loop.run_in_executor(None, relay.ctl, "queue", "retry", queue_id)
    event = await relay.wait("delivery", STEP_LIMIT, mail("delivered"))
    print()
    step(event, f"delivered  {event['remote']}, {event['delay_seconds']:.1f} s after acceptance")


USAGE = f"""
The relay is running. It accepts mail on {RELAY[0]}:{RELAY[1]} from this machine for anywhere,
and from anybody for demo.example.

  send      swaks --server {RELAY[0]}:{RELAY[1]} --from a@office.example --to you@demo.example
  who asks  export HIKYAKU_TOKEN_FILE={TOKEN}
  look      {{programs}}/hikyakuctl queue list
  directory {{programs}}/hikyakuctl directory get
  metrics   http://{METRICS}/metrics
  log       .local/relay.log

Ctrl-C ends it; mail that waits is kept in .local/data."""


async def main():
    programs = Path(sys.argv[1])
    receiver = await asyncio.start_server(Receiver().serve, *RECEIVER)
    relay = Relay(programs)
    relay.start()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    try:
        await relay.wait("the start", START_LIMIT, lambda event: event.get("message") == "ready")
        print(f"the relay listens on {RELAY[0]}:{RELAY[1]}")
        await show_one_message(relay)
        if "--once" in sys.argv:
            return
        print(USAGE.replace("{programs}", str(programs)), flush=True)
        while not ended.is_set() and relay.process.poll() is None:
            await asyncio.sleep(0.2)
    finally:
        print("stopping", flush=True)
        await loop.run_in_executor(None, relay.stop)
        receiver.close()


asyncio.run(main())
