"""The website of an invented debt-collection firm, as careless as real ones: it knows nothing of consent.

Its pages call in foreign hosts, its backend sets cookies of every kind, and it marks its pages as cacheable
for all. The gateway stands before it; nothing here works along but the form of the brochure, which says who asks for it.
"""

import random

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.demo.articles import ARTICLES
from gateway.demo.document import build_pdf
from gateway.demo.foreign import ForeignOrigins
from gateway.resources import template_folder
from gateway.web.pages import Pages

DOCUMENT_PATH = "/documenten/algemene-voorwaarden.pdf"
BROCHURE_PAGE, BROCHURE_PATH = "/brochure", "/documenten/regeling.pdf"
MENU = (
    ("/", "Home"),
    ("/diensten", "Diensten"),
    ("/artikelen", "Kennisbank"),
    ("/over-ons", "Over ons"),
    ("/contact", "Contact"),
)
SIMPLE_PAGES = {
    "/": "home.html",
    "/over-ons": "about.html",
    "/diensten": "services.html",
    "/artikelen": "articles.html",
    BROCHURE_PAGE: "brochure.html",
}
FILES = {
    "/stijl.css": ("stijl.css", "text/css"),
    "/beeld/merk.svg": ("merk.svg", "image/svg+xml"),
    "/favicon.ico": ("merk.svg", "image/svg+xml"),  # what browsers ask for beside the gateway's own pages
    "/beeld/kantoor.svg": ("kantoor.svg", "image/svg+xml"),
}
CACHED = {"cache-control": "public, max-age=300", "etag": '"voorbeeld-1"'}
YEAR = 31_536_000
TERMS = (
    "1. Voorbeeld Incasso is een verzonnen bedrijf; aan dit document is niemand gebonden.",
    "2. De opdrachtgever levert alleen vorderingen aan die opeisbaar en niet betwist zijn.",
    "3. Wij rekenen de betaler nooit meer dan de wettelijke incassokosten.",
    "4. Gegevens uit een dossier worden alleen voor dat dossier gebruikt.",
)

BROCHURE = (
    "1. Stuur de factuur op de dag van de levering, met een datum erop.",
    "2. Herinner vriendelijk, drie dagen voor de vervaldag.",
    "3. Bel voordat u schrijft: de meeste redenen hoort u alleen aan de telefoon.",
    "4. Vraag wat haalbaar is, en zwijg dan even.",
    "5. Leg bedrag, dag en aantal termijnen vast in een bericht van vier regels.",
    "6. Reken geen kosten over een regeling die op tijd wordt betaald.",
    "7. Gaat het mis: bel binnen twee dagen, niet na twee weken.",
    "8. Bedank wie klaar is. Hij koopt weer bij u.",
)


class Message(msgspec.Struct, frozen=True):
    """A page of a few lines."""

    eyebrow: str
    heading: str
    lines: tuple[str, ...]
    link: str = "/"
    link_label: str = "Naar de voorpagina"


THANKS = Message(
    "Contact", "Bedankt voor uw bericht", ("U krijgt binnen één werkdag antwoord.", "U hoeft niets te doen.")
)
PRIVACY = Message(
    "Privacy",
    "Privacyverklaring",
    (
        "Wij gebruiken gegevens om dossiers af te handelen, en verder alleen wat u zelf goed vindt.",
        "Uw keuze verandert u op elk moment met de knop voor cookie-instellingen, op elke pagina.",
    ),
)
MISSING = Message("Niet gevonden", "Deze pagina bestaat niet", ("Misschien is de brief al wat ouder.",))


class DemoSite:
    """The pages of the firm; `foreign` says where its third parties live, `chance` makes cookie values."""

    def __init__(self, foreign: ForeignOrigins, chance: random.Random) -> None:
        self._pages, self._foreign, self._chance = Pages(template_folder()), foreign, chance

    def routes(self) -> list[Route]:
        """Everything that the site answers."""
        pages = [Route(path, self.simple_page) for path in SIMPLE_PAGES]
        articles = [Route(article.path, self.article) for article in ARTICLES]
        files = [Route(path, self.file) for path in FILES]
        return [
            *pages,
            *articles,
            *files,
            Route("/contact", self.contact),
            Route("/contact", self.receive_question, methods=["POST"]),
            Route("/contact/bedankt", self.thanks),
            Route("/privacy", self.privacy),
            Route("/dossier", self.case),
            Route("/dossier/{number:int}", self.case),
            Route(DOCUMENT_PATH, self.document),
            Route(BROCHURE_PAGE, self.hand_out, methods=["POST"]),
            Route(BROCHURE_PATH, self.brochure),
            Route("/{rest:path}", self.missing),
        ]

    async def simple_page(self, request: Request) -> Response:
        """Home, about, services, and the list of articles."""
        return self._answer(request, SIMPLE_PAGES[request.url.path], articles=ARTICLES)

    async def article(self, request: Request) -> Response:
        """One article, with its topic in the page's head."""
        found = next(article for article in ARTICLES if article.path == request.url.path)
        return self._answer(request, "article.html", topic=found.topic, article=found, articles=ARTICLES)

    async def contact(self, request: Request) -> Response:
        """The contact form; its page needs a session, as forms do."""
        token = request.cookies.get("sessionid") or self._number(16)
        answer = self._answer(request, "contact.html", token=token)
        answer.set_cookie("sessionid", token, httponly=True, samesite="lax")
        return answer

    async def receive_question(self, request: Request) -> Response:
        """Takes the question (and forgets it), then sends the visitor on to a page of thanks."""
        await request.body()
        return RedirectResponse("/contact/bedankt", status_code=303)

    async def thanks(self, request: Request) -> Response:
        """After a question."""
        return self._message(request, THANKS)

    async def privacy(self, request: Request) -> Response:
        """What the firm says about data."""
        return self._message(request, PRIVACY)

    async def case(self, request: Request) -> Response:
        """A debtor's file, with its number in the address: what statistics must never see."""
        return self._answer(request, "case.html", number=request.path_params.get("number", ""))

    async def missing(self, request: Request) -> Response:
        """Everything else."""
        return self._message(request, MISSING, status=404)

    async def document(self, _request: Request) -> Response:
        """The general terms, a real PDF."""
        body = build_pdf("Algemene voorwaarden", TERMS)
        return Response(body, media_type="application/pdf", headers=CACHED)

    async def hand_out(self, request: Request) -> Response:
        """Whatever was filled in, the brochure is free; the site itself keeps no address."""
        await request.body()
        return RedirectResponse(BROCHURE_PATH, status_code=303)

    async def brochure(self, _request: Request) -> Response:
        """The brochure, a real PDF."""
        body = build_pdf("Een regeling die werkt", BROCHURE)
        headers = CACHED | {"content-disposition": 'attachment; filename="regeling.pdf"'}
        return Response(body, media_type="application/pdf", headers=headers)

    async def file(self, request: Request) -> Response:
        """Style sheet and pictures."""
        name, media_type = FILES[request.url.path]
        body = (template_folder() / "demo" / name).read_bytes()
        return Response(body, media_type=media_type, headers=CACHED)

    def _message(self, request: Request, message: Message, status: int = 200) -> Response:
        return self._answer(request, "message.html", status, **msgspec.structs.asdict(message))

    def _answer(self, request: Request, template: str, status: int = 200, **context: object) -> Response:
        known = {"topic": "", "path": request.url.path, "menu": MENU, "foreign": self._foreign}
        answer = HTMLResponse(self._pages.render(f"demo/{template}", **(known | context)), status, CACHED)
        self._set_careless_cookies(request, answer)
        return answer

    def _set_careless_cookies(self, request: Request, answer: Response) -> None:
        """What the firm's shop software and plug-ins set on every page, asked or not."""
        values = {
            "_ga": f"GA1.1.{self._number(9)}.{self._number(10)}",
            "_fbp": f"fb.1.{self._number(13)}.{self._number(10)}",
            "tracker_x": self._number(12),
        }
        for name, value in values.items():
            if name not in request.cookies:
                answer.set_cookie(name, value, max_age=YEAR, samesite="lax")

    def _number(self, digits: int) -> str:
        return str(self._chance.randrange(10 ** (digits - 1), 10**digits))


def build_site(foreign: ForeignOrigins, chance: random.Random) -> Starlette:
    """The firm's website as an app of its own."""
    return Starlette(routes=DemoSite(foreign, chance).routes())
