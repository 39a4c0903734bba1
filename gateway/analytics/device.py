"""Browser, operating system and device class from an agent string. The only user of user_agents and ua_parser."""

from functools import lru_cache

import msgspec
import ua_parser
from user_agents.parsers import UserAgent, parse_browser, parse_device, parse_operating_system

MAX_AGENT = 512  # bytes looked at; longer agent strings are attacks on parsers


class Device(msgspec.Struct, frozen=True):
    """What is kept of an agent string: families and versions, never the string. `device` is a class."""

    browser: str
    browser_version: str
    os: str
    os_version: str
    device: str


class _Agent(UserAgent):  # type: ignore[misc]
    """user_agents' device classes on ua_parser's compiled matcher: its own parser takes 35 times as long."""

    def __init__(self, text: str) -> None:
        found = ua_parser.parse(text)
        browser, system, device = found.user_agent, found.os, found.device
        self.ua_string = text
        self.browser = parse_browser(browser.family if browser else "", browser and browser.major)
        self.os = parse_operating_system(
            system.family if system else "", system and system.major, system and system.minor
        )
        self.device = parse_device(
            device.family if device else "", device and device.brand, device and device.model
        )


@lru_cache(maxsize=4096)
def parse_agent(user_agent: str) -> Device:
    """The device behind an agent string; what cannot be told is empty. Remembered in memory only."""
    agent = _Agent(user_agent[:MAX_AGENT])
    return Device(
        browser=agent.browser.family,
        browser_version=agent.browser.version_string,
        os=agent.os.family,
        os_version=agent.os.version_string,
        device=_device_class(agent),
    )


def _device_class(agent: _Agent) -> str:
    if agent.is_tablet:
        return "tablet"
    if agent.is_mobile:
        return "mobile"
    return "desktop" if agent.is_pc else "other"
