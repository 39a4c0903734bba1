"""Published clients, unmodified, before a gateway at work, in Chromium and in Node: what they told stands in the report. And
the library by which a receiver in Node verifies what the gateway sends."""

import base64
import hashlib
import json
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from gateway.analytics.results import Report
from gateway.api_keys import add_key, describe_key
from gateway.config import load_config
from gateway.database import open_database
from gateway.destinations.base import OutgoingRequest, Telling
from gateway.destinations.webhook import Webhook
from gateway.report_client import fetch_report
from hatch_build import install_modules, node_binary, npm_script, run_node
from tests.destinations.rows import OTHER_SECRET, SECRET, make_config, make_event
from tests.journeys.aftermath import wait_for_keeper
from tests.journeys.browsing import choose, open_browser, open_context
from tests.journeys.cluster import end_keeper
from tests.journeys.fronts import Front, Layout, lay_out, run_front, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(240)]

ROOT = Path(__file__).resolve().parents[2]
SCRIPT, RECEIVER = (Path(__file__).with_name(name) for name in ("node_clients.cjs", "node_webhook.cjs"))
CLIENTS = """[analytics.clients]
plausible = true
umami = true
matomo = true
plausible_scripts = ["/js/script.js"]
"""
STATIC = "<!doctype html><title>Voorbeeld</title><img src='/_gw/pixel.gif?topic=Rente' alt=''>"
SITE = '''
from pathlib import Path
from starlette.applications import Starlette
from starlette.responses import FileResponse, HTMLResponse
from starlette.routing import Route
from gateway import ConsentMiddleware

HEAD = "<!doctype html><html lang=nl><title>Voorbeeld</title><body><h1>Voorbeeld Incasso</h1>"
MODULE = """<button id=buy>Koop</button><script type=module>
import { init, track } from "/tracker.js";
init({ domain: "www.example.org", endpoint: "/api/event", captureOnLocalhost: true, logging: false });
const props = { plan: "large" }, revenue = { currency: "EUR", amount: 12.5 };
buy.onclick = () => track("Purchase", { props, revenue, callback: ({ status }) => (document.title = status) });
</script>"""
OLDER = """<button id=buy>Koop</button><script type=module>
import Plausible from "/older/index.js";
const told = Plausible({ domain: "www.example.org", apiHost: location.origin, trackLocalhost: true });
told.trackPageview();
buy.onclick = () => told.trackEvent("Ordered", { props: { plan: "large" }, callback: () => (document.title = "told") });
</script>"""
TAG = """<script>window.plausible = window.plausible || function () { (plausible.q = plausible.q || []).push(arguments) };
plausible("Waited", { props: { where: "tag" } });
plausible("404", { props: { path: "/x" } });
plausible("Más: betaald (iDEAL)", { props: { no: null, in: { a: 1 } }, revenue: { amount: "12.50", currency: "eur" } });
plausible("Unpriced", { revenue: { amount: "12,50", currency: "EUR" } });</script>
<button class="plausible-event-name=Asked+twice plausible-event-plan=large plausible-revenue-amount=10.29
 plausible-revenue-currency=EUR"><b>Vraag</b></button>
<script defer data-domain="www.example.org" src="/js/script.js"></script>"""
UMAMI = """<button data-umami-event="Brochure" data-umami-event-plan=large>Folder</button>
<script defer src="/umami.js" data-website-id="b59e9c65-ae32-47f1-8400-119fcf4861c4"></script>"""

async def page(request):
    body = {"/module": MODULE, "/older": OLDER, "/tag": TAG, "/umami": UMAMI}.get(request.url.path, "")
    return HTMLResponse(HEAD + body)

async def script(request):
    return FileResponse(SCRIPTS[request.url.path], media_type="text/javascript")

routes = [*[Route(path, script) for path in SCRIPTS], Route("/{path:path}", page)]
app = ConsentMiddleware(Starlette(routes=routes), FOLDER)
'''
# Umami's script as its own build takes it; the package is the whole of Umami, so only this file of it is unpacked.
UMAMI = ("umami@2.10.0", "package/src/tracker/index.js")
UMAMI_SHA512 = "+lmrnV0751R6U2rkIgVAlE1nWI7yZawlMlJDguW9tlFacCKhnGeCyc7tCMIhNNYIiGIQy4DEX5IzJhm4b3+dPA=="
STAGES = ("", "Alles weigeren", "Alles accepteren")  # the button of the settings that is pressed before; none at first


@pytest.fixture(scope="module")
def modules() -> Path:
    """The packages, as npm installs them for the tests alone."""
    return install_modules(ROOT, print, "build/clients", "optional")


@pytest.fixture(scope="module")
def umami_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Umami's script, from its package on npm, which has to be the very one that is named above."""
    folder, (package, member) = tmp_path_factory.mktemp("umami"), UMAMI
    command = [str(npm_script()), "pack", package, "--prefer-offline", "--loglevel=error"]
    run_node(command, folder=folder, wanted="This test needs the network: npm fetches Umami's package.")
    (packed,) = folder.glob("*.tgz")
    assert base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode() == UMAMI_SHA512
    with tarfile.open(packed) as archive:
        archive.extract(member, folder, filter="data")
    return folder / member


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, modules: Path, umami_script: Path) -> Iterator[Front]:
    """A site behind two workers, and their keeper."""
    folder = tmp_path_factory.mktemp("clients")
    older = modules / "plausible-tracker/build/module"
    scripts = {
        "/tracker.js": modules / "@plausible-analytics/tracker/plausible.js",
        "/older/index.js": older / "index.js",
        "/older/lib/tracker": older / "lib/tracker.js",
        "/older/lib/request": older / "lib/request.js",
        "/umami.js": umami_script,
    }
    app = SITE.replace("SCRIPTS", repr({path: str(file) for path, file in scripts.items()}))
    lay_out(folder, Layout(limits=CLIENTS, autostart=True, app=app))
    with run_front(folder, workers=2) as running:
        yield running
    end_keeper(load_config(folder, {}))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    with open_browser() as opened:
        yield opened


def ask(front: Front, where: str = "") -> Report:
    """The keeper's report of the last days; `where` as in a console's address."""
    return fetch_report(load_config(front.folder, {}), {"where": where} if where else {})


def wait_for_events(front: Front, *names: str) -> dict[str, int]:
    """How often each event stands in the report, once all of these do."""
    counted: dict[str, int] = {}

    def is_there() -> bool:
        counted.update({row.name: row.events for row in ask(front).breakdowns["event"]})
        return set(names) <= set(counted)

    wait_for_keeper(front.folder / "data")  # clients may be done before it has started
    wait_until(is_there)
    return counted


def count_views(found: Report) -> dict[str, int]:
    """The page views of each page."""
    return {row.name: row.page_views for row in found.breakdowns["page"]}


def make_key(front: Front) -> str:
    """A key as its holder sends it."""
    key = describe_key("Shop", ["collect"], [], 600, time.time())
    return add_key(open_database(load_config(front.folder, {}).database_url), key, "test", "main", time.time())


def test_servers_tell_with_published_clients(front: Front, modules: Path) -> None:
    """What Umami's and Matomo's clients tell with a key is in the report, as one visitor's one visit, told by two workers;
    without the assertion, or without a key, they are refused, and both say so."""
    key = make_key(front)
    command = [str(node_binary()), str(SCRIPT), f"http://localhost:{front.port}", key]
    found = subprocess.run(
        command, env={"NODE_PATH": str(modules)}, capture_output=True, text=True, timeout=60, check=True
    )
    said = json.loads(found.stdout)
    assert said.pop("bulk") == {"status": "success", "tracked": 3, "invalid": 1, "invalid_indices": [3]}
    assert said == {
        "view": 200, "event": 200, "identify": 200, "unasserted": 403, "unknown": 403, "single": 0, "refused": 403,
    }  # fmt: skip
    wait_for_events(front, "signup", "Video: Play")
    mine = f"prop:asserted is {key.split('_')[1]}"
    wait_until(
        lambda: sum(row.count for row in ask(front, mine).asserted) >= 6
    )  # each worker writes its own now and then
    told = ask(front, mine)
    totals = told.totals
    assert (totals.daily_visitors, totals.visits, totals.page_views, totals.events) == (1, 1, 4, 2)
    assert [(row.detail, row.count) for row in told.asserted] == [("Shop", 6)]
    assert count_views(told) == {"/prijzen": 1, "/contact": 1, "/a": 1, "/b": 1, "/": 0}


def open_stages(context: BrowserContext, url: str) -> Iterator[Page]:
    """A page before any choice, one after a refusal, and one after a yes: what is done in each is the same."""
    for button in STAGES:
        if button:
            choose(context, url, button=button)
        page = context.new_page()
        yield page
        if button != STAGES[-1]:
            page.close()


def test_plausible_s_tracker_counts_with_the_visitor_s_consent(front: Front, browser: Browser) -> None:
    """Plausible's published trackers, today's and the one before it that many plug-ins bring along, see their success before a
    choice, after a refusal and after a yes; only what happened after the yes is in the report, each page is one view, and
    calls of a page that asks its own host for Plausible's script, waiting or by class, are events too, with what they were
    worth, under names such as events have here.
    So is the view of a page that has nothing but the picture, and never passed the gateway."""
    context, url = open_context(browser), f"http://localhost:{front.port}"
    for page in open_stages(context, url):
        page.route("**/static", lambda route: route.fulfill(content_type="text/html", body=STATIC))
        with page.expect_response("**/_gw/pixel.gif?*"):
            page.goto(f"{url}/static")
        page.goto(f"{url}/module")
        page.get_by_role("button", name="Koop").click()
        page.wait_for_function("document.title === '202'")
        page.goto(f"{url}/older")
        page.get_by_role("button", name="Koop").click()
        page.wait_for_function("document.title === 'told'")
        page.goto(f"{url}/tag")
        page.wait_for_function("window.gateway && window.plausible && !window.plausible.q")
        page.get_by_text("Vraag", exact=True).click()
    names = ("Purchase", "Ordered", "Waited", "Asked twice", "Mas: betaald -iDEAL-", "Unpriced")
    counted = wait_for_events(front, *names)
    assert ([counted[name] for name in names], "not_found" in counted) == ([1] * 6, False)
    views = count_views(ask(front))
    assert (views["/module"], views["/older"], views["/tag"], views["/static"]) == (1, 1, 1, 1)
    for name, worth in (("Purchase", 12.5), ("Asked twice", 10.29), ("Mas: betaald -iDEAL-", 12.5)):
        found = ask(front, f"event is {name}")
        assert [(one.currency, one.revenue) for one in found.revenue] == [("EUR", worth)]
    assert ask(front, "event is Purchase\nprop:plan is large").totals.events == 1
    assert ask(front, 'event is Mas: betaald -iDEAL-\nprop:in is {"a":1}').totals.events == 1
    context.close()


def test_umami_s_script_counts_with_the_visitor_s_consent(front: Front, browser: Browser) -> None:
    """The published script, which the page loads from its own host, is answered with a success before a choice, after a refusal
    and after a yes; only what happened after the yes is in the report: its event once, and the view, of which the script tells
    too, once."""
    context, url = open_context(browser), f"http://localhost:{front.port}"
    for page in open_stages(context, url):
        with page.expect_response("**/api/send") as viewed:
            page.goto(f"{url}/umami")
        with page.expect_response("**/api/send") as clicked:
            page.get_by_role("button", name="Folder").click()
        assert (viewed.value.status, clicked.value.status) == (200, 200)
    assert wait_for_events(front, "Brochure")["Brochure"] == 1
    assert count_views(ask(front))["/umami"] == 1
    assert ask(front, "event is Brochure\nprop:plan is large").totals.events == 1
    context.close()


def test_a_receiver_in_node_verifies_our_signature(modules: Path) -> None:
    """Standard Webhooks' own library for Node takes what we sign, in both forms, and with either secret while two rotate; it
    takes nothing that was changed, renamed or is too old."""

    def post(at: float, secret: str = SECRET, **options: str) -> OutgoingRequest:
        config = make_config(options=options)
        return Webhook(config, secret).build([Telling("e" * 32, make_event(topic="Betaald €"), "")], at)

    now = time.time()
    plain, both = post(now), post(now, f"{OTHER_SECRET} {SECRET}")
    asked = [
        (SECRET, plain, {}, ""),
        (SECRET, post(now, format="cloudevents", type_prefix="nl.example."), {}, ""),
        (SECRET, both, {}, ""),
        (OTHER_SECRET, both, {}, ""),
        (OTHER_SECRET, plain, {}, ""),
        (SECRET, plain, {}, " "),
        (SECRET, plain, {"webhook-id": "another"}, ""),
        (SECRET, post(now - 600), {}, ""),
    ]
    told = [
        {"secret": secret, "headers": one.headers | changed, "body": one.body.decode() + more}
        for secret, one, changed, more in asked
    ]
    command, env = [str(node_binary()), str(RECEIVER)], {"NODE_PATH": str(modules)}
    found = subprocess.run(
        command, env=env, input=json.dumps(told), capture_output=True, text=True, timeout=60, check=True
    )
    kinds = ["page_view", "nl.example.page_view", "page_view", "page_view"]
    assert json.loads(found.stdout) == [*kinds, None, None, None, None]
