"""What operators keep of a site: segments and funnels by name, and notes beside the days of the chart."""

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.analytics.filters import SEGMENT, Condition, parse_filters
from gateway.errors import BadRequest
from gateway.flows.annotate import add_note, change_note, delete_note
from gateway.flows.save_question import KINDS, Saved, forget_saved, list_saved, save_segment
from gateway.web.asking import Asking, go_back
from gateway.web.console_guard import check_same_site
from gateway.web.filter_words import say_filter
from gateway.web.frame import Frame
from gateway.web.labels import Labels
from gateway.web.question import Question, write_filter
from gateway.web.signin import SignIn, read_form

PATH = "/segments"


class SegmentsPage:
    """The page /segments and the forms on other pages that keep something."""

    def __init__(self, asking: Asking, frame: Frame) -> None:
        self._asking, self._frame = asking, frame

    def routes(self, signin: SignIn) -> list[Route]:
        """GET the list, POST a segment, a deletion, a note."""
        return [
            Route(PATH, signin.page(self.show), methods=["GET"]),
            Route(PATH, signin.page(self.save), methods=["POST"]),
            Route(f"{PATH}/delete", signin.page(self.delete), methods=["POST"]),
            Route("/notes", signin.page(self.annotate), methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """GET /segments?site=: everything that is kept, by whom and since when."""
        question = self._asking.read(request, PATH)
        labels, site = self._frame.labels(request), question.query.site
        kept = {kind: await run_sync(list_saved, self._asking.engine, site, name) for kind, name in KINDS.items()}
        return self._frame.page(
            request,
            "segments.html",
            timezone=self._asking.zones[site],
            kept_segments=[(one, _segment_url(one, question), [_say(one, labels)]) for one in kept["segment"]],
            kept_funnels=[(one, _funnel_url(one, question), one.content) for one in kept["funnel"]],
            **await self._asking.head(question, labels),
        )

    async def save(self, request: Request) -> Response:
        """POST /segments: site, name, to: keep the filters of the question that the form came from, and choose them."""
        check_same_site(request)
        fields = await read_form(request)
        query = self._asking.read_back(fields)
        name = fields.get("name", "").strip()
        await run_sync(save_segment, self._asking.engine, query, name, request.state.operator, self._asking.clock())
        chosen = write_filter(Condition("is", SEGMENT, (name,)))
        return go_back(fields, filters=chosen)

    async def delete(self, request: Request) -> Response:
        """POST /segments/delete: site, kind, name."""
        check_same_site(request)
        fields = await read_form(request)
        site, kind = self._asking.known_site(fields.get("site", "")), KINDS.get(fields.get("kind", ""))
        if kind is None:
            raise BadRequest(400, "kind", f"kind is none of {', '.join(KINDS)}.")
        what = (site, kind, fields.get("name", ""))
        await run_sync(forget_saved, self._asking.engine, *what, request.state.operator, self._asking.clock())
        return go_back(fields)

    async def annotate(self, request: Request) -> Response:
        """POST /notes: site, action (add, change, delete), note (its number), day, text, to."""
        check_same_site(request)
        fields = await read_form(request)
        engine, site = self._asking.engine, self._asking.known_site(fields.get("site", ""))
        by, words = (request.state.operator, self._asking.clock()), (fields.get("day", ""), fields.get("text", ""))
        number, action = fields.get("note", "")[:9], fields.get("action", "")
        note = int(number) if number.isdecimal() else 0
        if action == "add":
            await run_sync(add_note, engine, site, *words, *by)
        elif action == "change":
            await run_sync(change_note, engine, site, note, *words, *by)
        elif action == "delete":
            await run_sync(delete_note, engine, site, note, *by)
        else:
            raise BadRequest(400, "action", "Choose what is to be done: add, change or delete.")
        return go_back(fields, note="")


def _segment_url(one: Saved, question: Question) -> str:
    return question.url("/", filters=write_filter(Condition("is", SEGMENT, (one.name,))))


def _funnel_url(one: Saved, question: Question) -> str:
    return question.url("/funnels", steps="\n".join(one.content))


def _say(one: Saved, labels: Labels) -> str:
    found = parse_filters(one.content, [])
    return say_filter(found, labels) if found else ""
