"""The report as data: JSON and CSV, the same for the console's API and for the CLI behind the local socket."""

import csv
import io
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response

from gateway.analytics.answers import Imported
from gateway.analytics.consent_results import ConsentReport, ConsentRow, PurposeRow
from gateway.analytics.funnels import Funnel
from gateway.analytics.page_flows import PageFlow
from gateway.analytics.query import Query, parse_query
from gateway.analytics.results import HIDDEN, Report
from gateway.config import Config
from gateway.errors import QueryError, StoreError

JSON_TYPE = "application/json"
CSV_TYPE = "text/csv; charset=utf-8; header=present"
CSV_HEADER = ("section", "name", "detail", "measure", "value")
# A spreadsheet takes what begins with one of these for a formula.
FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
WITHHELD = "withheld"  # about too few visitors
CsvLine = tuple[str, str, str, str, object]
Found = TypeVar("Found")


class ReportApi:
    """Endpoints that answer with the report of the question in the query string."""

    def __init__(
        self,
        config: Config,
        report: Callable[[Query], Report],
        consent: Callable[[Query], ConsentReport],
        status: Callable[[], Mapping[str, Any]],
        clock: Callable[[], float],
    ) -> None:
        self._report, self._consent, self._status, self._clock = report, consent, status, clock
        self.sites = {site.id: site.config.timezone for site in config.sites}

    def parse(self, fields: Mapping[str, str], at: float | None = None) -> Query:
        """The question in `fields`, as it is asked now or at another moment; raises QueryError."""
        now = datetime.fromtimestamp(self._clock() if at is None else at, UTC)
        return parse_query(fields, self.sites, now)

    async def ask(self, query: Query) -> Report:
        """The report, made in a thread of its own. Raises StoreError."""
        return await run_sync(self._report, query)

    async def ask_consent(self, query: Query) -> ConsentReport:
        """The report on consent, likewise."""
        return await run_sync(self._consent, query)

    async def json(self, request: Request) -> Response:
        """GET report: the Report as JSON; with `section` only the lines that its CSV has of one; 400 or 503 with
        {"errors": [...]}."""
        section = request.query_params.get("section", "")
        build = partial(encode_section, section=section) if section else encode_report
        return await self._answer(request, self.ask, build, JSON_TYPE)

    async def csv(self, request: Request) -> Response:
        """GET report.csv: lines of section, name, detail, measure, value; with `section` only those of one section."""
        section = request.query_params.get("section", "")
        build = partial(build_csv, section=section)
        name = f"{section}.csv" if section.isalpha() else "report.csv"
        return as_file(await self._answer(request, self.ask, build, CSV_TYPE), name)

    async def consent_json(self, request: Request) -> Response:
        """GET consent: the ConsentReport as JSON; errors as above."""
        return await self._answer(request, self.ask_consent, encode_report, JSON_TYPE)

    async def consent_csv(self, request: Request) -> Response:
        """GET consent.csv: lines as above."""
        return as_file(await self._answer(request, self.ask_consent, build_consent_csv, CSV_TYPE), "consent.csv")

    async def status(self, _request: Request) -> Response:
        """GET status: how the keeper does."""
        return Response(msgspec.json.encode(await run_sync(self._status)), media_type=JSON_TYPE)

    async def _answer(
        self,
        request: Request,
        ask: Callable[[Query], Awaitable[Found]],
        build: Callable[[Found], bytes],
        media_type: str,
    ) -> Response:
        try:
            report = await ask(self.parse(request.query_params))
        except QueryError as error:
            return answer_errors(400, error.faults)
        except StoreError as error:
            return answer_errors(503, [str(error)])
        return Response(build(report), media_type=media_type)


def answer_errors(status: int, errors: list[str]) -> Response:
    """A JSON answer {"errors": [...]}."""
    return Response(msgspec.json.encode({"errors": errors}), status, media_type=JSON_TYPE)


def as_file(response: Response, name: str) -> Response:
    """An answer that is kept under this name; errors stay as they are."""
    if response.status_code == 200:
        # A header takes no letters but Latin ones: https://www.rfc-editor.org/rfc/rfc6266#section-4.3
        told = f'filename="{name}"' if name.isascii() else f"filename*=utf-8''{quote(name)}"
        response.headers["content-disposition"] = f"attachment; {told}"
    return response


def encode_report(report: Report | ConsentReport | Funnel | PageFlow) -> bytes:
    """The report as JSON, UTF-8; fields as in `analytics.results`, `consent_results`, `funnels` and `page_flows`."""
    return msgspec.json.encode(report)


def encode_section(report: Report, section: str) -> bytes:
    """One section's lines of the CSV as a list of objects: section, name, detail, measure, value."""
    return msgspec.json.encode(
        [dict(zip(CSV_HEADER, line, strict=True)) for line in _csv_lines(report) if line[0] == section]
    )


def build_csv(report: Report, section: str = "") -> bytes:
    """The report as one long table, or one section of it, RFC 4180, UTF-8; cells that a spreadsheet would run are quoted
    with '."""
    return write_csv(CSV_HEADER, (line for line in _csv_lines(report) if section in ("", line[0])))


def build_consent_csv(report: ConsentReport) -> bytes:
    """The report on consent in the same form."""
    return write_csv(CSV_HEADER, _consent_lines(report))


def build_funnel_csv(funnel: Funnel) -> bytes:
    """A funnel in the same form, a section for each step by its number."""
    return write_csv(CSV_HEADER, _funnel_lines(funnel))


def build_flow_csv(flow: PageFlow) -> bytes:
    """A page flow in the same form: sections `passed`, `before` and `after`."""
    return write_csv(CSV_HEADER, _flow_lines(flow))


def _funnel_lines(funnel: Funnel) -> Iterator[CsvLine]:
    yield "report", "site", "", "", funnel.site
    yield from _measures("report", "period", "", funnel.period)
    yield "all", "", "", "visits", WITHHELD if funnel.visits is None else funnel.visits
    for number, step in enumerate(funnel.steps, 1):
        yield from _measures(f"step {number}", step.name, "", step, "name", missing=WITHHELD)


def _flow_lines(flow: PageFlow) -> Iterator[CsvLine]:
    yield "report", "site", "", "", flow.site
    yield from _measures("report", "period", "", flow.period)
    if flow.withheld:
        yield "report", "withheld", "", "", flow.withheld
    for number, page in enumerate(flow.pages, 1):
        yield "page", page, "", "number", number
    for measure in ("visitors", "visits", "passes"):
        value = getattr(flow, measure)
        yield "passed", "", "", measure, WITHHELD if value is None else value
    for side, rows in (("before", flow.before), ("after", flow.after)):
        for row in rows:
            yield from _measures(side, row.page, "", row, "page")
        if side in flow.rest:
            yield from _measures(side, "", "others", flow.rest[side])


def write_csv(header: Sequence[str], lines: Iterable[Sequence[object]]) -> bytes:
    """A table, RFC 4180, UTF-8; cells that a spreadsheet would run are quoted with '."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    for line in lines:
        writer.writerow([plain_cell(cell) for cell in line])
    return text.getvalue().encode()


def _consent_lines(report: ConsentReport) -> Iterator[CsvLine]:
    yield "report", "site", "", "", report.site
    yield from _measures("report", "period", "", report.period)
    yield from _measures("consent", "", "", report.total, "name")
    for measure in ("answered", "changed", "answer_rate"):
        yield "consent", "", "", measure, getattr(report, measure)
    sections: dict[str, Sequence[ConsentRow | PurposeRow]] = {
        "purpose": report.purposes,
        "language": report.languages,
        "device": report.devices,
        "day": report.days,
    }
    for section, rows in sections.items():
        for row in rows:
            yield from _measures(section, row.name, "", row, "name")


def _csv_lines(report: Report) -> Iterator[CsvLine]:
    yield "report", "site", "", "", report.site
    yield from _measures("report", "period", "", report.period)
    if report.withheld:
        yield "report", "withheld", "", "", report.withheld
    if report.rows_withheld:
        yield "report", "rows_withheld", "", "", report.rows_withheld
    yield from _measures("totals", "", "", report.totals, missing=WITHHELD if report.withheld else "")
    if report.month:
        yield from _measures("month", report.month.month, "", report.month, "month", missing=WITHHELD)
    if report.imported:
        yield from _imported_lines(report.imported)
    if report.compared:
        yield from _measures("compared", "period", "", report.compared, "totals", "series")
        hidden = report.compared.totals is None
        totals = report.compared.totals or HIDDEN
        yield from _measures("compared", "", "", totals, missing=WITHHELD if hidden else "")
    for point in report.series:
        yield from _measures("series", point.at, "", point, "at", missing=WITHHELD)
    for point in report.compared.series if report.compared else ():
        yield from _measures("series", point.at, "compared", point, "at", missing=WITHHELD)
    yield from _breakdown_lines(report)
    yield from _measures("measures", "", "", report.measures)
    for money in report.revenue:
        yield from _measures("revenue", money.currency, "", money, "currency")
    yield from _measures("consent", "", "", report.consent)
    yield from _counter_lines(report)
    for queue in report.destinations:
        yield from _measures("destination", queue.destination, queue.kind, queue, "destination", "kind")


def _imported_lines(imported: Imported) -> Iterator[CsvLine]:
    """Which days another tool counted, and what they do not tell, by names with spaces between."""
    yield from _measures("imported", imported.source, "", imported, "source", "lacking")
    yield "imported", imported.source, "", "lacking", " ".join(imported.lacking)


def _counter_lines(report: Report) -> Iterator[CsvLine]:
    if report.pages:
        yield from _measures("page_counter", "", "", report.pages, "pages")
        for page in report.pages.pages:
            yield "page_counter", page.name, "page", "count", page.count
    for section, counts in (("asserted", report.asserted), ("dropped", report.dropped), ("held", report.held)):
        for count in counts:
            yield section, count.name, f"{count.kind} {count.detail}".strip(), "count", count.count
    for bot in report.bots:
        yield "bot", bot.name, bot.kind, "pages", " ".join(bot.pages)
        yield "bot", bot.name, bot.kind, "count", bot.count
    for note in report.notes:
        yield "note", note.day, note.operator, "text", note.text


def _breakdown_lines(report: Report) -> Iterator[CsvLine]:
    for dimension, rows in report.breakdowns.items():
        told = {"event": ("events",), "goal": ("conversions", "conversion_rate")}.get(dimension, ())
        left_out = ["name", "before", *(one for one in ("events", "conversions", "conversion_rate") if one not in told)]
        for row in rows:
            yield from _measures(dimension, row.name, "", row, *left_out)
            if report.compared:
                yield dimension, row.name, "compared", "visitors", WITHHELD if row.before is None else row.before
        if dimension in report.others:
            yield from _measures(dimension, "", "others", report.others[dimension], *left_out)


def _measures(
    section: str, name: str, detail: str, part: msgspec.Struct, *left_out: str, missing: str = ""
) -> Iterator[CsvLine]:
    for field in part.__struct_fields__:
        if field not in left_out:
            value = getattr(part, field)
            yield section, name, detail, field, missing if value is None else value


def plain_cell(value: object) -> str:
    """A cell of CSV that no spreadsheet runs."""
    text = "" if value is None else str(value).replace("\0", "")
    if isinstance(value, str) and text.lstrip(" \"'").startswith(FORMULA_STARTS):
        return f"'{text}"
    return text
