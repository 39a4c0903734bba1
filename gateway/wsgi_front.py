"""The front of a WSGI worker: the same middleware, with a loop of its own in a thread beside the workers' threads.

The loop has the worker's life in it (open, try again, close) and answers what lies under the prefix, since those answers
wait for disk and database. Pages never go there: the gate is driven in the thread that serves the request.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine, Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from gateway.config import Config, load_config
from gateway.front import ConsentMiddleware
from gateway.web.middleware import Message
from gateway.web.public import most_bytes, outside_paths
from gateway.web.wsgi import build_scope, gather, hand_over, read_input, read_nothing, respond, respond_whole
from gateway.web.wsgi_site import WSGISite

T = TypeVar("T")


class WSGIConsentMiddleware:
    """WSGI middleware: asks visitors, holds back what they did not allow, counts what they did.

    `config` is as for ConsentMiddleware. Opened with the first request, so after a server has forked its workers, or by
    `open`; closed at the process's end, or by `close`. Any number of threads may call it.
    """

    def __init__(self, app: WSGIApplication, config: Config | Path | str | None = None) -> None:
        self._app = app
        self._config = config if isinstance(config, Config) else load_config(config)
        self._most = most_bytes(self._config) + 1
        self._prefix = self._config.settings.prefix
        self._outside = outside_paths(self._config)
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self._parents: list[Worker] = []  # of the process that forked us; its files are not ours to close

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """One request. What the site raises passes through."""
        worker = self._find_worker()
        scope = build_scope(environ)
        if not (scope["path"].startswith(self._prefix) or scope["path"] in self._outside):
            return respond(worker.middleware(scope, read_nothing, hand_over), start_response)
        head, body = worker.run(gather(worker.middleware, scope, read_input(environ, self._most)))
        return respond_whole(head, body, scope["method"], start_response)

    def open(self) -> None:
        """Open the worker's parts unless they are: for servers that say when a worker starts."""
        self._find_worker()

    def _find_worker(self) -> "Worker":
        worker = self._worker
        if worker is None or worker.process != os.getpid():
            with self._lock:
                worker = self._worker
                if worker is None or worker.process != os.getpid():
                    worker = self._open_worker()
        return worker

    def _open_worker(self) -> "Worker":
        if self._worker is not None:
            self._parents.append(self._worker)
        self._worker = Worker(ConsentMiddleware(WSGISite(self._app), self._config))
        atexit.register(self.close)
        return self._worker

    def close(self) -> None:
        """Write down what waits and release everything; the next request opens it again."""
        atexit.unregister(self.close)
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is not None and worker.process == os.getpid():
            worker.close()


class Worker:
    """An ASGI server in small: a loop in a thread, in which the middleware starts and ends."""

    def __init__(self, middleware: ConsentMiddleware) -> None:
        """Returns when the middleware has started; raises what its start raised."""
        self.middleware = middleware
        self.process = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=self._serve, name="gateway-wsgi", daemon=True)
        self._thread.start()
        self._started.result()

    def run(self, answering: Coroutine[Any, Any, T]) -> T:
        """Run one coroutine in the loop and wait for it, from any other thread."""
        return asyncio.run_coroutine_threadsafe(answering, self._loop).result()

    def close(self) -> None:
        """Let the middleware end, and the thread."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _serve(self) -> None:
        try:
            self._loop.run_until_complete(self._live())
        except BaseException as error:  # the thread's end: it belongs to whoever waits for the start
            if self._started.done():
                raise
            self._started.set_exception(error)
        finally:
            self._loop.close()  # waits for no thread, and starts none: at a process's end it could not

    async def _live(self) -> None:
        try:
            await self.middleware({"type": "lifespan"}, self._receive, self._send)
        finally:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

    async def _receive(self) -> Message:
        if not self._started.done():
            return {"type": "lifespan.startup"}
        await self._stopping.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            self._started.set_result(None)
