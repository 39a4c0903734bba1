"""`gateway receivers`: listens on this machine alone, prints what arrives, ends when told to."""

import os
import re
import signal
import subprocess
import sys
from http.client import HTTPConnection

import pytest


@pytest.mark.slow
def test_what_arrives_is_printed_without_secrets() -> None:
    """One line for each request: taken or refused, and why; the query, which may hold a secret, is not shown."""
    environment = os.environ | {"MATOMO_TOKEN": "of-the-operator", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "gateway", "receivers", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            first = process.stdout.readline()
            (port,) = re.findall(r"http://127\.0\.0\.1:(\d+)", first)
            connection = HTTPConnection("127.0.0.1", int(port), timeout=10)
            connection.request("POST", "/google/mp/collect?api_secret=hidden", b"{}")
            assert connection.getresponse().read() == b""
            connection.request("GET", "/nowhere")
            assert connection.getresponse().status == 404
            connection.close()
        finally:
            process.send_signal(signal.SIGTERM)
        said = process.stdout.read()
    assert process.returncode == 0
    assert re.search(r"204  POST /google/mp/collect  refused: dropped in silence", said)
    assert re.search(r"404  GET /nowhere  refused", said)
    assert "hidden" not in said
    assert "of-the-operator" not in said
    assert "export GA4_API_SECRET=rehearsal-api-secret" in said
