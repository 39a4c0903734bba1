"""The reverse proxy against a pass-through with the same client, with nginx beside them; memory while a gigabyte streams."""

import asyncio
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from bench.measure import LOAD_CORE, SERVER_CORE, Load, free_port, load, middle, resident_mb, server, wait_for
from bench.servers import PAGE
from bench.table import Line, at_least

ROUNDS = 5
GIGABYTE = 1 << 30


def run(folder: Path) -> list[Line]:
    """All three before the same upstream, in turns."""
    (folder / "www").mkdir()
    (folder / "www" / "file.js").write_bytes(PAGE)
    folder.chmod(0o755)
    upstream = free_port()
    with (
        nginx(folder, "site", f"listen 127.0.0.1:{upstream}; root {folder}/www;", LOAD_CORE),
        server("proxy", folder, BENCH_UPSTREAM=f"http://127.0.0.1:{upstream}") as ours,
        server("bare_proxy", folder, BENCH_UPSTREAM=f"http://127.0.0.1:{upstream}") as plain,
    ):
        front = free_port()
        rule = f"listen 127.0.0.1:{front}; location / {{ proxy_pass http://site; proxy_http_version 1.1; "
        rule += 'proxy_set_header Connection ""; }'
        pool = f"upstream site {{ server 127.0.0.1:{upstream}; keepalive 64; }}"
        with nginx(folder, "front", rule, SERVER_CORE, pool) as worker:
            targets = {"ours": ours, "plain": plain, "nginx": (front, worker)}
            found: dict[str, list[Load]] = {name: [] for name in targets}
            for _ in range(ROUNDS):
                for name, (port, process) in targets.items():
                    found[name].append(load(port, "/file.js", process, seconds=3, folder=folder))
    best = {name: middle(loads) for name, loads in found.items()}
    return [*_rates(best), _streaming(folder)]


def _rates(best: dict[str, Load]) -> list[Line]:
    ours, plain, other = best["ours"], best["plain"], best["nginx"]
    return [
        at_least(
            "reverse proxy, page not touched", ours.rate, plain.rate, 0.7,
            f"{ours.rate:,.0f}/s, {ours.cpu_us:.0f} µs CPU", f"{plain.rate:,.0f}/s, {plain.cpu_us:.0f} µs CPU",
        ),
        Line("beside it: nginx proxy_pass", f"{ours.rate:,.0f}/s", f"{other.rate:,.0f}/s", f"{ours.rate / other.rate:.2f}", ""),
    ]  # fmt: skip


def _streaming(folder: Path) -> Line:
    """Stream a gigabyte through the proxy and watch its memory."""
    with endless_site() as upstream, server("proxy", folder, BENCH_UPSTREAM=f"http://127.0.0.1:{upstream}") as ours:
        port, process = ours
        with urlopen(f"http://127.0.0.1:{port}/warm", timeout=60) as answer:
            answer.read(1 << 20)
        before, peak, taken = resident_mb(process), 0.0, 0
        with urlopen(f"http://127.0.0.1:{port}/big", timeout=60) as answer:
            while chunk := answer.read(1 << 20):
                taken += len(chunk)
                peak = max(peak, resident_mb(process))
    grown = peak - before
    met = taken == GIGABYTE and grown <= 16
    return Line("memory while 1 GB streams through", f"+{grown:.1f} MB", f"{before:.0f} MB before", "", "flat", met)


@contextmanager
def nginx(folder: Path, name: str, rule: str, core: str, pool: str = "") -> Iterator[int]:
    """One nginx worker on one core; yields the worker's process id."""
    config = folder / f"{name}.conf"
    config.write_text(
        f"daemon off; worker_processes 1; pid {folder}/{name}.pid; error_log {folder}/{name}.log;\n"
        f"events {{}}\nhttp {{ access_log off; keepalive_requests 1000000; types {{ text/javascript js; }}\n"
        f"client_body_temp_path {folder}/{name}-1; proxy_temp_path {folder}/{name}-2; "
        f"fastcgi_temp_path {folder}/{name}-3; uwsgi_temp_path {folder}/{name}-4; scgi_temp_path {folder}/{name}-5;\n"
        f"{pool}\nserver {{ {rule} }} }}\n"
    )
    process = subprocess.Popen(["taskset", "-c", core, "nginx", "-c", str(config), "-e", f"{folder}/{name}.log"])
    try:
        wait_for(int(rule.partition("127.0.0.1:")[2].partition(";")[0]))
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield int(children[0])
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def endless_site() -> Iterator[int]:
    """A site whose one file is a gigabyte of zeros, on a thread of its own."""
    started, port = threading.Event(), free_port()
    loop = asyncio.new_event_loop()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n")
        writer.write(b"Content-Length: %d\r\nConnection: close\r\n\r\n" % GIGABYTE)
        block = bytes(1 << 16)
        try:
            for _ in range(GIGABYTE // len(block)):
                writer.write(block)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()

    async def serve() -> None:
        await asyncio.start_server(answer, "127.0.0.1", port)
        started.set()

    def work() -> None:
        asyncio.set_event_loop(loop)
        serving = loop.create_task(serve())
        loop.run_forever()
        assert serving.done()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    started.wait(5)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
