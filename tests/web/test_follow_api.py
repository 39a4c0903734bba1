"""Funnels in the console's API and behind the local socket."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from gateway.analytics.funnels import Funnel, Step, parse_steps
from gateway.analytics.query import Query
from gateway.analytics.results import Period
from gateway.errors import StoreError
from gateway.web.console import build_console, build_local_api
from tests.web.console_browser import open_browser, sign_in
from tests.web.console_example import build_parts


def follow(query: Query, steps: Sequence[str]) -> Funnel:
    """What the flow would answer; the store of one site is down."""
    if query.site == "werken":
        raise StoreError("the event store cannot answer: events.duckdb is locked")
    parse_steps(steps)
    return Funnel(query.site, Period("", "", "", ""), 12, [Step(step, 3, 4) for step in steps])


def test_a_funnel_is_asked_like_a_report(tmp_path: Path) -> None:
    """`steps` stand one a line; faults are 400, a store that is down 503; the console asks who is there."""
    parts = replace(build_parts(tmp_path), follow=follow)
    operator, local = open_browser(build_console(parts)), open_browser(build_local_api(parts), "http://keeper")
    assert operator.get("/api/funnel").status_code == 401
    sign_in(operator)
    for client, path in ((operator, "/api/funnel"), (local, "/funnel")):
        answer = client.get(path, params={"steps": "page is /\n\npage is /contact\n"})
        found = msgspec.json.decode(answer.content, type=Funnel)
        assert [step.name for step in found.steps] == ["page is /", "page is /contact"]
        for wrong in ({"steps": "page is /"}, {"steps": "x" * 20_000}, {"period": "never", "steps": ""}):
            refused = client.get(path, params=wrong)
            assert refused.status_code == 400 and refused.json()["errors"]
        assert client.get(path, params={"steps": "page is /", "site": "werken"}).status_code == 503
    parts.engine.dispose()
