"""Looking with a browser: the machine's own Chromium, driven by playwright. The only user of playwright, with the files
that begin with its name; it is loaded only where a browser is wanted."""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from playwright.sync_api import Browser, BrowserContext, Error, Frame, Page, Request, Response, sync_playwright

from gateway.consent.seen import SeenCookie, SeenKey, SeenPage, SeenRequest, host_of_url, is_same_site, without_query
from gateway.errors import BrowserMissing, LookFailed
from gateway.survey.chromium_banner import BannerFinder
from gateway.survey.crawl import Seen

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
# What stays off: first what Playwright turns off (the last list counts, and this one comes last), then pages of the
# browser's own that each new profile would load beside the site's, which is more work than the site's.
OFF = (
    "AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable", "LensOverlay", "MediaRouter", "PaintHolding", "ThirdPartyStoragePartitioning",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "TcpPortRandomizationWin", "OptimizationHints", "NetworkTimeServiceQuerying", "AimEnabled", "PreconnectToSearch",
    "msForceBrowserSignIn", "msEdgeUpdateLaunchServicesPreferredVersion",
    "WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "WebUIOmniboxFullPopup",
)  # fmt: skip
FLAGS = (
    f"--user-agent={AGENT}",  # for all requests: those sent while a page goes away know nothing of a context's agent
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--disable-features={','.join(OFF)}",
)
LOAD_MS, QUIET_MS, REST_MS, STEP_MS = 20_000, 3_000, 250, 50
LONGEST_URL = 300
FORBIDDEN = "csp"  # by the Content-Security-Policy
DAY = 86_400.0
# Notes which script sets a cookie, by its name and never by its value.
WATCH = """(() => {
  const real = Object.getOwnPropertyDescriptor(Document.prototype, "cookie");
  const seen = [];
  Object.defineProperty(window, "__cookieSetters", { value: seen });
  Object.defineProperty(Document.prototype, "cookie", { ...real, set(text) {
    const from = /https?:\\/\\/[^\\s)]+/.exec(String(new Error().stack));
    seen.push([String(text).split("=")[0].trim(), from ? from[0].replace(/(:\\d+)?:\\d+$/, "") : ""]);
    real.set.call(this, text);
  } });
})()"""
NAMES = """() => [
  window.__cookieSetters || [],
  (() => { try { return Object.keys(localStorage); } catch { return []; } })(),
  (() => { try { return Object.keys(sessionStorage); } catch { return []; } })(),
]"""
SCROLL = """() => new Promise((done) => {
  let at = 0;
  const step = () => {
    at += innerHeight;
    scrollTo(0, at);
    if (at < document.documentElement.scrollHeight && at < 20000) setTimeout(step, 30); else { scrollTo(0, 0); done(); }
  };
  step();
})"""


def find_chromium() -> str | None:
    """The path of a Chromium on this machine, or None."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@contextmanager
def open_chromium(program: str, resolve: Sequence[str] = ()) -> Iterator[Browser]:
    """A browser without a window; `resolve` holds `HOST=ADDRESS` for names that lead elsewhere than the DNS says."""
    flags = [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    if resolve:
        rules = ", ".join(f"MAP {host} {address}" for host, _, address in (one.partition("=") for one in resolve))
        flags.append(f"--host-resolver-rules={rules}")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=program, args=flags)
        except Error as error:
            raise BrowserMissing(f"{program} does not start ({str(error).splitlines()[0]})") from error
        try:
            yield browser
        except Error as error:
            raise LookFailed(f"the browser gave up ({str(error).splitlines()[0]})") from error
        finally:
            browser.close()


class ChromiumEye:
    """One visitor's fresh profile, and all that happens in it."""

    name = "Chromium"
    blind = "what only shows after signing in or sending a form"
    sees_frames = True

    def __init__(
        self, browser: Browser, finder: BannerFinder, *, scripts: bool = True, language: str = "nl-NL"
    ) -> None:
        self._requests: dict[str, SeenRequest] = {}
        self._responses: list[Response] = []
        self._under_way: set[Request] = set()
        self._scripts, self._finder = scripts, finder
        self._setters: dict[str, str] = {}
        self._first: dict[str, str] = {}
        self._cookies: dict[tuple[str, str], SeenCookie] = {}
        self._keys: dict[tuple[str, str, str], SeenKey] = {}
        self._at = ""
        self.context: BrowserContext = browser.new_context(
            locale=language,
            user_agent=AGENT,
            viewport={"width": 1280, "height": 800},
            ignore_https_errors=True,
            java_script_enabled=scripts,
        )
        self.context.add_init_script(WATCH)
        self.context.on("request", self._on_request)
        self.context.on("response", self._on_response)
        self.context.on("requestfinished", self._on_end)
        self.context.on("requestfailed", self._on_failure)
        self.page: Page = self.context.new_page()

    def visit(self, url: str) -> SeenPage:
        """Open a page, scroll through it, and wait until it is quiet. Raises LookFailed."""
        self._at = url
        try:
            answer = self.page.goto(url, wait_until="load", timeout=LOAD_MS)
        except Error as error:
            raise LookFailed(f"{url} cannot be opened ({str(error).splitlines()[0]})") from error
        if not is_same_site(self.page.url, url):
            raise LookFailed(f"{url} leads to another site, {self.page.url}; give that address when it is yours")
        self._at = self.page.url
        self.settle()
        headers = answer.all_headers() if answer else {}
        kept = tuple((name, value) for name, value in headers.items() if name.lower() != "set-cookie")
        return SeenPage(self._at, answer.status if answer else 0, self.html(), kept)

    def settle(self) -> None:
        """Scroll to the end, wait until the network is quiet or time is up, and note what is kept by then."""
        with suppress(Error):
            self.page.wait_for_load_state("load", timeout=LOAD_MS)
            if self._scripts:  # the scrolling itself is one
                self.page.evaluate(SCROLL)
        self._wait_until_quiet()
        self.note()

    def html(self) -> str:
        """The page as scripts have left it."""
        with suppress(Error):
            return self.page.content()
        return ""

    def note(self) -> None:
        """Take down cookies and storage keys as they are now, with who set them."""
        self._read_responses()
        for frame in self.page.frames:
            with suppress(Error):
                self._read_frame(frame)
        self._cookies = {}
        for cookie in self.context.cookies():
            name, domain = cookie["name"], cookie["domain"].lstrip(".")
            days = max(0.0, (cookie["expires"] - time.time()) / DAY) if cookie["expires"] > 0 else 0.0
            setter = self._setters.setdefault(name, f"a script on {self._at}")
            page = self._first.setdefault(name, self._at)
            self._cookies[name, domain] = SeenCookie(name, domain, days, cookie["httpOnly"], setter, page)

    def agree(self) -> bool:
        """Accept what a banner asks for, if there is one that can be accepted at once."""
        banners = self._finder.wait(self.page)
        accept = banners[0].find("accept") if banners else None
        if accept is None or not self._finder.click(self.page, banners[0], accept):
            return False
        self.settle()
        return True

    def seen(self) -> Seen:
        """Every request up to now, and the cookies and keys that the profile held when last noted."""
        return Seen(tuple(self._requests.values()), tuple(self._cookies.values()), tuple(self._keys.values()))

    def forget_requests(self) -> None:
        """Begin a new list of requests."""
        self._requests = {}

    def close(self) -> None:
        """End the profile."""
        self.context.close()

    def _wait_until_quiet(self) -> None:
        """Until nothing has been under way for a moment, or QUIET_MS are over: some pages never rest."""
        until, busy_at = time.monotonic() + QUIET_MS / 1000, time.monotonic()
        while time.monotonic() < until and time.monotonic() - busy_at < REST_MS / 1000:
            self.page.wait_for_timeout(STEP_MS)
            if self._under_way:
                busy_at = time.monotonic()

    def _on_end(self, request: Request) -> None:
        self._under_way.discard(request)

    def _on_failure(self, request: Request) -> None:
        """What the page's own policy forbids never left the browser; everything else was at least tried."""
        self._under_way.discard(request)
        url = request.url[:LONGEST_URL]
        if request.failure == FORBIDDEN and url in self._requests and self._requests[url].page == self._at:
            del self._requests[url]

    def _on_request(self, request: Request) -> None:
        url = request.url
        self._under_way.add(request)
        if url.startswith(("http://", "https://", "ws://", "wss://")) and not self._is_page(request):
            url = url.replace("ws", "http", 1) if url.startswith("ws") else url
            self._requests.setdefault(
                url[:LONGEST_URL], SeenRequest(url[:LONGEST_URL], request.resource_type, self._at)
            )

    def _on_response(self, response: Response) -> None:
        self._responses.append(response)

    def _is_page(self, request: Request) -> bool:
        """Whether this is the visit itself rather than something that the page wants."""
        return request.resource_type == "document" and is_same_site(request.url, self._at)

    def _read_responses(self) -> None:
        waiting, self._responses[:] = list(self._responses), []
        for response in waiting:
            with suppress(Error):
                setter = without_query(response.url)[:LONGEST_URL]
                for header in response.headers_array():
                    if header["name"].lower() == "set-cookie":
                        for line in header["value"].splitlines():
                            self._setters.setdefault(line.partition("=")[0].strip(), setter)

    def _read_frame(self, frame: Frame) -> None:
        setters, local, session = frame.evaluate(NAMES)
        for name, source in setters:
            self._setters.setdefault(name, f"a script, {without_query(source) or 'in the page'}")
        host = host_of_url(frame.url)
        for kind, names in (("local_storage", local), ("session_storage", session)):
            for name in names:
                self._keys.setdefault((kind, host, name), SeenKey(name, kind, host, self._at))
