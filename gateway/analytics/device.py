"""Browser, operating system and device class from an agent string and client hints. The only user of user_agents and ua_parser.

The parser's rules take some names and all versions from the agent string as they stand there, so an agent can bring words
and numbers of its own. Only names that are listed here and versions that can be one are kept: nothing else of the string
ever leaves this file.
"""

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import msgspec
from ua_parser import Parser
from ua_parser.loaders import load_lazy_builtins
from ua_parser.regex import Resolver
from user_agents.parsers import (
    MOBILE_DEVICE_FAMILIES,
    TABLET_DEVICE_FAMILIES,
    UserAgent,
    parse_browser,
    parse_device,
    parse_operating_system,
)

from gateway.analytics.screen import cut_agent

BROWSERS = frozenset(
    """Aloha Browser|Amazon Silk|Android|AOL|Avast Secure Browser|Baidu Browser|BlackBerry WebKit|Brave|Chrome|Chrome Mobile|
Chrome Mobile iOS|Chrome Mobile WebView|Chromium|Coc Coc|Comodo Dragon|DuckDuckGo|DuckDuckGo Mobile|Ecosia Android|
Ecosia iOS|Edge|Edge Mobile|Epiphany|Facebook|Facebook Messenger|Falkon|Firefox|Firefox Alpha|Firefox Beta|
Firefox Focus|Firefox iOS|Firefox Mobile|Google|HeyTapBrowser|Honor Browser|Huawei Browser|HuaweiBrowser|IE|IE Mobile|
Instagram|Iron|KakaoTalk|Konqueror|LINE|LinkedIn|Maxthon|MiuiBrowser|Mobile Safari|Mobile Safari UI/WKWebView|Mozilla|
Oculus Browser|Opera|Opera Coast|Opera GX|Opera Mini|Opera Mobile|Opera Neon|Opera Touch|Pale Moon|Pinterest|Puffin|
QQ Browser|QQ Browser Mobile|QtWebEngine|Safari|Samsung Internet|SeaMonkey|Seznam.cz|Silk|Slack|Snapchat|
Sogou Explorer|Telegram|TikTok|Twitter|UC Browser|Vivaldi|Vivo Browser|WebKit Nightly|Weibo|Whale|WhatsApp|
Yandex Browser""".replace("\n", "").split("|")
)
SYSTEMS = frozenset(
    """ATV OS X|Android|Arch Linux|BlackBerry OS|CentOS|Chrome OS|Chromecast|Debian|Fedora|FreeBSD|HarmonyOS|KaiOS|Linux|
Linux Mint|Mac OS X|NetBSD|OpenBSD|Other Linux|PlayStation|Red Hat|SUSE|Solaris|Tizen|Ubuntu|WatchOS|Windows|Windows Mobile|
Windows Phone|iOS|webOS""".replace("\n", "").split("|")
)
SCREENS, WIDEST = (("small", 576), ("medium", 992), ("large", 1440)), "wide"
# A rule of which the first group is a name in plain letters, or several.
SPELLED = re.compile(r"(?:\\.|\(\?|[^(\\])*\(((?:[\w /|-]|\\\W)*)\)")
ESCAPED = re.compile(r"\\(\W)")
# What browsers that call themselves Chrome in their agent string say of themselves in hints.
HINTED = re.compile(r'"([^"]{1,40})"\s*;\s*v="(\d{1,4})')
BRANDS = {
    "Brave": "Brave", "Vivaldi": "Vivaldi", "Opera GX": "Opera GX", "Opera": "Opera", "DuckDuckGo": "DuckDuckGo",
    "Microsoft Edge": "Edge", "Samsung Internet": "Samsung Internet", "Yandex": "Yandex Browser", "Whale": "Whale",
}  # fmt: skip
PLATFORMS = {"Windows": "Windows", "macOS": "Mac OS X", "Android": "Android"}
# A hint of Windows is no version of Windows: https://learn.microsoft.com/microsoft-edge/web-platform/how-to-detect-win11
WINDOWS_11, WINDOWS_10 = 13, 1
VERSION = re.compile(r"(?:RT )?\d{1,4}(?:\.\d{1,4})?|XP|Vista|ME|NT|RT|CE")


class Device(msgspec.Struct, frozen=True):
    """What is kept of an agent string: families and versions, never the string. `device` is a class."""

    browser: str
    browser_version: str
    os: str
    os_version: str
    device: str


def _open_parser() -> Parser:
    """ua_parser on its compiled matcher, without rules that would change nothing but take fifteen megabytes in every worker:
    the names of some four hundred Android models, since the class of an Android device follows from system and browser
    alone, and the names of what we do not list, so that an app counts as the browser that it is made of."""
    browsers, systems, devices = load_lazy_builtins()
    named = [found for found in _naming(browsers, BROWSERS) if not _names_others(found)]
    models = [found for found in devices if not _is_android_model(found)]
    return Parser(Resolver((named, _naming(systems, SYSTEMS), models)))


def _naming(matchers: Sequence[Any], names: frozenset[str]) -> list[Any]:
    """Those that give one of these names, or take theirs from the agent string."""
    return [found for found in matchers if not found.family or "$" in found.family or found.family in names]


def _names_others(matcher: Any) -> bool:
    """Whether a browser's rule takes its name from the agent string, where only names can stand that we do not list."""
    spelled = SPELLED.match(matcher.regex) if matcher.family == "$1" else None
    return spelled is not None and BROWSERS.isdisjoint(ESCAPED.sub(r"\1", name) for name in spelled.group(1).split("|"))


def _is_android_model(matcher: Any) -> bool:
    decisive = {*MOBILE_DEVICE_FAMILIES, *TABLET_DEVICE_FAMILIES}
    return ("Build" in matcher.regex or "AppleWebKit" in matcher.regex) and matcher.family not in decisive


class _Agent(UserAgent):  # type: ignore[misc]
    """user_agents' device classes on ua_parser's compiled matcher: its own parser takes 35 times as long."""

    def __init__(self, text: str) -> None:
        found = _parser().parse(text)
        browser, system, device = found.user_agent, found.os, found.device
        self.ua_string = text
        self.browser = parse_browser(browser.family if browser else "", browser and browser.major)
        self.os = parse_operating_system(
            system.family if system else "", system and system.major, system and system.minor
        )
        self.device = parse_device(device.family if device else "", device and device.brand, device and device.model)


@cache
def _parser() -> Parser:
    return _open_parser()


@lru_cache(maxsize=4096)
def parse_agent(user_agent: str, hints: str = "") -> Device:
    """The device behind an agent string; what cannot be told is empty. Remembered in memory only.

    `hints` are the values of Sec-CH-UA, Sec-CH-UA-Platform and Sec-CH-UA-Platform-Version, a line each: they tell browsers
    apart that give themselves out as Chrome, and versions of systems that an agent string no longer tells.
    """
    agent = _Agent(cut_agent(user_agent))
    browser, browser_version = _known(agent.browser, BROWSERS)
    system, system_version = _known(agent.os, SYSTEMS)
    if hints:
        brands, platform, version = (*hints.split("\n"), "", "")[:3]
        browser, browser_version = _hinted_browser(browser, brands) or (browser, browser_version)
        same = PLATFORMS.get(_unquoted(platform)) == system
        system_version = (_hinted_version(system, _unquoted(version)) if same else "") or system_version
    return Device(browser, browser_version, system, system_version, _device_class(agent))


def _hinted_browser(browser: str, brands: str) -> tuple[str, str] | None:
    """Name and version of the browser that an agent string calls Chrome, where a hint says that it is another."""
    if not browser.startswith("Chrome"):
        return None
    told = dict(HINTED.findall(brands))
    return next(((name, told[brand]) for brand, name in BRANDS.items() if brand in told), None)


def _hinted_version(system: str, version: str) -> str:
    """A system's version as an agent string would have it; empty when the hint tells none."""
    first, _, rest = version.partition(".")
    if not (first.isascii() and first.isdigit() and len(first) <= 4):
        return ""
    if system == "Windows":
        return "11" if int(first) >= WINDOWS_11 else "10" if int(first) >= WINDOWS_10 else ""
    second = rest.partition(".")[0]
    found = f"{first}.{second}" if system == "Mac OS X" and second else first
    return found if VERSION.fullmatch(found) else ""


def _unquoted(value: str) -> str:
    return value.strip().strip('"')


def screen_class(width: int) -> str:
    """The class of a page's width in pixels; empty when it was not told."""
    if width <= 0:
        return ""
    return next((name for name, below in SCREENS if width < below), WIDEST)


def _known(found: Any, names: frozenset[str]) -> tuple[str, str]:
    """Name and version, each as far as it is nothing that the agent invented."""
    name = found.family if found.family in names else ""
    version = str(found.version_string)
    return name, version if name and VERSION.fullmatch(version) else ""


def _device_class(agent: _Agent) -> str:
    if agent.is_tablet:
        return "tablet"
    if agent.is_mobile:
        return "mobile"
    return "desktop" if agent.is_pc else "other"
