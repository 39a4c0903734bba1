"""The console's page on consent: who was asked, and what they chose."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from gateway.config import Config
from gateway.consent.banner import purpose_titles
from gateway.web.consent_view import build_consent
from gateway.web.frame import Frame
from gateway.web.question import build_question
from gateway.web.report_api import ReportApi


class ConsentPage:
    """The page /consent. What it shows is also at /api/consent and /api/consent.csv."""

    def __init__(self, config: Config, frame: Frame, api: ReportApi, clock: Callable[[], float]) -> None:
        self._frame, self._api, self._clock = frame, api, clock
        self._sites = {site.id: site for site in config.sites}

    async def show(self, request: Request) -> Response:
        """GET /consent?site=&period=&from=&to=&lang=."""
        fields = dict(request.query_params)
        query = self._api.parse(fields)
        report = await self._api.ask_consent(query)
        labels, site = self._frame.labels(request), self._sites[query.site]
        titles = purpose_titles(site.policy, labels.language)
        names = {one.id: one.config.name or one.id for one in self._sites.values()}
        return self._frame.page(
            request,
            "consent.html",
            sites=[(name, id_, id_ == site.id) for id_, name in names.items()],
            site_name=names[site.id],
            question=build_question(query, fields),
            **build_consent(report, labels, titles, self._clock()),
        )
