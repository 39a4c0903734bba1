"""What all pages about a period have in common: the question in the address, its filters and segments, and where they lead."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from anyio.to_thread import run_sync
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import RedirectResponse

from gateway.analytics.dimensions import DIMENSIONS
from gateway.analytics.filters import OPERATORS, SEGMENT, Condition, conditions_of
from gateway.analytics.query import Query
from gateway.config import Config
from gateway.errors import BadRequest
from gateway.flows.save_question import Saved, list_saved
from gateway.web.filter_words import build_chips, name_dimension
from gateway.web.labels import Labels
from gateway.web.question import Question, build_question, write_filter
from gateway.web.report_api import ReportApi

PATHS = ("/", "/funnels", "/flows", "/segments")
FILTERED = tuple(one.name for one in DIMENSIONS if one.scope != "time")


class Choice(NamedTuple):
    """Something to choose from; `url` leads to the page with it chosen."""

    name: str
    url: str
    current: bool


class Asking:
    """Reads questions from addresses, and builds what the head of each such page shows."""

    def __init__(self, config: Config, engine: Engine, api: ReportApi, clock: Callable[[], float]) -> None:
        self.api, self.engine, self.clock = api, engine, clock
        self.names = {site.id: site.config.name or site.id for site in config.sites}
        self.zones = {site.id: site.config.timezone for site in config.sites}

    def read(self, request: Request, path: str = "/", **more: str) -> Question:
        """The question of a request; a filter that a form gives in parts (`of`, `how`, `what`) is one more. Raises
        QueryError."""
        fields = dict(request.query_params)
        if fields.get("of"):
            added = " ".join(fields.get(part, "") for part in ("of", "how", "what"))
            fields["where"] = "\n".join(filter(None, (fields.get("where", ""), " ".join(added.splitlines()))))
        return build_question(self.api.parse(fields), fields, path, **more)

    def read_back(self, fields: Mapping[str, str]) -> Query:
        """The query of the page that a form says it came from (`to`), of the form's own site. Raises QueryError."""
        asked = dict(parse_qsl(urlsplit(fields.get("to", "")).query))
        return self.api.parse(asked | {"site": fields.get("site", "")})

    def known_site(self, site: str) -> str:
        """A site of the configuration. Raises BadRequest."""
        if site not in self.names:
            raise BadRequest(404, "site", f"There is no site {site[:40]!r}.")
        return site

    async def head(self, question: Question, labels: Labels) -> dict[str, Any]:
        """Sites, filters and segments for the template."""
        site = question.query.site
        saved = await run_sync(list_saved, self.engine, site, "segment")
        return {
            "question": question,
            "sites": [(name, question.on_site(id_), id_ == site) for id_, name in self.names.items()],
            "site_name": self.names[site],
            "chips": build_chips(question, labels),
            "segments": [_choice(one, question) for one in saved],
            "segmented": any(one.dimension == SEGMENT for one in conditions_of(question.query.filters)),
            "filter_text": write_filter(question.query.filters),
            "filtered": sorted((name_dimension(name, labels), name) for name in FILTERED),
            "operators": OPERATORS,
        }


def is_form(request: Request) -> bool:
    """Whether a form asks, whose fields have yet to become an address that can be kept and shared."""
    return "of" in request.query_params


def go_back(fields: Mapping[str, str], **changes: str) -> RedirectResponse:
    """To the page of ours that a form says it came from (`to`), with some of its question changed; to the overview else."""
    parts = urlsplit(fields.get("to", ""))
    ours = parts.path in PATHS and not parts.netloc and not parts.scheme
    asked = dict(parse_qsl(parts.query)) if ours else {"site": fields.get("site", "")}
    kept = {key: value for key, value in (asked | changes).items() if value}
    path = parts.path if ours else "/"
    return RedirectResponse(f"{path}?{urlencode(kept)}" if kept else path, 303)


def _choice(one: Saved, question: Question) -> Choice:
    chosen = Condition("is", SEGMENT, (one.name,))
    if chosen in question.parts:
        return Choice(one.name, question.without(chosen), current=True)
    return Choice(one.name, question.only(SEGMENT, one.name), current=False)
