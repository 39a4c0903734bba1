"""Where a visitor came from: source, medium, campaign and channel, by ordered rules."""

import re
from collections.abc import Mapping

from gateway.frozen import Frozen

# Registrable names as they stand in a referrer's host, matched from the right; the value is the source's name.
SEARCH = {
    "google": "Google",
    "bing": "Bing",
    "duckduckgo": "DuckDuckGo",
    "ecosia": "Ecosia",
    "yahoo": "Yahoo",
    "startpage": "Startpage",
    "qwant": "Qwant",
    "yandex": "Yandex",
    "search.brave": "Brave",
}
SOCIAL = {
    "facebook": "Facebook",
    "instagram": "Instagram",
    "linkedin": "LinkedIn",
    "lnkd": "LinkedIn",
    "twitter": "X",
    "t.co": "X",
    "x.com": "X",
    "reddit": "Reddit",
    "pinterest": "Pinterest",
    "tiktok": "TikTok",
    "mastodon": "Mastodon",
    "bsky": "Bluesky",
    "threads": "Threads",
}
VIDEO = {"youtube": "YouTube", "youtu.be": "YouTube", "vimeo": "Vimeo"}
ASSISTANTS = {
    "chatgpt": "ChatGPT",
    "chat.openai": "ChatGPT",
    "perplexity": "Perplexity",
    "claude": "Claude",
    "gemini.google": "Gemini",
    "copilot.microsoft": "Copilot",
}
MAIL = {"mail.google": "Gmail", "outlook.live": "Outlook", "mail.yahoo": "Yahoo Mail"}
# Order matters: gemini.google.com and mail.google.com are not the search engine.
FAMILIES = (("ai", ASSISTANTS), ("email", MAIL), ("search", SEARCH), ("social", SOCIAL), ("video", VIDEO))
PAID = re.compile(r"^(.*cp.*|ppc|retargeting|paid.*)$", re.IGNORECASE)
EMAIL = re.compile(r"e[-_ ]?mail|newsletter|nieuwsbrief", re.IGNORECASE)
DIRECT = "direct"


class Source(Frozen, frozen=True):
    """Where a view came from. Empty `channel` means from within the site."""

    source: str = ""
    medium: str = ""
    campaign: str = ""
    term: str = ""
    content: str = ""
    channel: str = ""
    referrer: str = ""


def classify_source(campaign: Mapping[str, str], referrer: str, own_hosts: frozenset[str]) -> Source:
    """The source from campaign fields (see masking.campaign_fields) and a masked referrer (`host/path`)."""
    host = referrer.partition("/")[0]
    internal = not host or host in own_hosts
    name, family = ("", "") if internal else _find_family(host)
    medium = campaign.get("utm_medium", "")
    source = campaign.get("utm_source", "") or campaign.get("click", "") or name
    if not source and internal:
        return Source(channel="" if host else DIRECT, source="" if host else DIRECT)
    known_name, known_family = _find_family(source)
    return Source(
        source=known_name or source or host,
        medium=medium,
        campaign=campaign.get("utm_campaign", ""),
        term=campaign.get("utm_term", ""),
        content=campaign.get("utm_content", ""),
        channel=_channel(medium, known_family or family, source, "click" in campaign),
        referrer="" if internal else referrer,
    )


def _channel(medium: str, family: str, source: str, clicked: bool) -> str:
    """Ordered rules, first match wins."""
    if PAID.match(medium) or clicked:
        return f"paid {family}" if family in ("search", "social", "video") else "paid other"
    if EMAIL.search(medium) or EMAIL.search(source) or family == "email":
        return "email"
    if medium.lower() in ("affiliate", "sms", "push", "display", "audio"):
        return medium.lower()
    return family or "referral"


def _find_family(host: str) -> tuple[str, str]:
    """(name, family) of a known source: `www.google.nl` and `google` are both Google."""
    labels = f".{host.lower()}."
    for family, names in FAMILIES:
        for key, name in names.items():
            if f".{key}." in labels:
                return name, family
    return "", ""
