"""`gateway receivers`: rehearse a destinations.toml against strict stand-ins on this machine."""

import os
import signal
import time
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console

from gateway.demo.loopback import LOOPBACK, LoopbackServer
from gateway.receivers.rehearsal import SECRETS, Arrival, Rehearsal

DEFAULT_PORT = 8790
out = Console(emoji=False, highlight=False, soft_wrap=True)


def receivers(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0: any free one.")] = DEFAULT_PORT,
) -> None:
    """Strict stand-ins for Google Analytics, Matomo, Pardot and webhook receivers: what arrives is printed."""
    rehearsal = Rehearsal(os.environ, print_arrival)
    server = LoopbackServer(rehearsal.app(), port)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    print_start(f"http://{LOOPBACK}:{server.port}")  # before the server's thread prints too: lines of two get lost
    try:
        server.start()
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()
        signal.signal(signal.SIGTERM, before)
    out.print("\nStopped.")


def print_start(address: str) -> None:
    """Where they listen, and the secrets that they know unless the environment has others."""
    out.print(f"Receivers listen at {address} (this machine only). docs/destinations.md shows a table for each.")
    out.print("Start the keeper with the same secrets; those of the environment take the place of these:", markup=False)
    for name, value in SECRETS.items():
        taken = "  # from the environment" if os.environ.get(name) else ""
        out.print(f"  export {name}={'...' if taken else value}{taken}", markup=False)


def print_arrival(arrival: Arrival) -> None:
    """One line: when, what, the answer, and what it was or why it was refused. No query: it may hold a secret."""
    at = datetime.fromtimestamp(arrival.at).strftime("%H:%M:%S")
    word = "refused" if arrival.fault else "taken"
    line = f"{at}  {arrival.status}  {arrival.method} {arrival.path}  {word}: {arrival.note}"
    out.print(line, markup=False, style="red" if arrival.fault else None)
