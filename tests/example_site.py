"""An invented debt collector's site for the tests: its policy, its configuration, and choices made on it."""

import tomllib
from pathlib import Path
from typing import Any

from gateway.config import Config, Site, build_config
from gateway.consent.decision import Choice, Decision, decide
from gateway.policy import Policy, parse_policy

NOW = 1_780_000_000.0  # 2026-05-28 20:26:40 UTC
AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)
CONSENT_ID = "AAAAAAAAAAAAAAAAAAAAAA"

POLICY_TOML = """
version = "7"
languages = ["nl", "en"]
[controller]
name = "Voorbeeld Incasso"

[[purposes]]
id = "analytics"
title = { nl = "Statistiek", en = "Statistics" }
[[purposes]]
id = "marketing"
title = { nl = "Marketing", en = "Marketing" }

[[services]]
id = "site"
purpose = "necessary"
name = "De site"
hosts = ["cdn.example.org"]
cookies = [{ name = "sessionid" }, { name = "csrf*" }]
[[services]]
id = "counter"
purpose = "analytics"
name = "Teller"
hosts = ["teller.example.net"]
cookies = [{ name = "_tel" }, { name = "_tel_*" }]
[[services]]
id = "video"
purpose = "marketing"
name = "Voorbeeld Video"
hosts = ["video.example.net", "*.advert.example.net"]
cookies = [{ name = "_ads" }]
"""


def read_policy(text: str = POLICY_TOML) -> Policy:
    """The example policy, or another one given as TOML."""
    return parse_policy(tomllib.loads(text))


def write_site(folder: Path, settings: dict[str, Any] | None = None, policy: str = POLICY_TOML) -> Config:
    """A configuration whose data live in `folder/data`; no keeper is started, no destination told."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "policy.toml").write_text(policy, "utf-8")
    raw: dict[str, Any] = {"keeper": {"autostart": False}, "limits": {"reserve_bytes": 4096}}
    for name, value in (settings or {}).items():
        raw[name] = {**raw.get(name, {}), **value} if isinstance(value, dict) else value
    return build_config(raw, folder)


def make_choice(policy: Policy, *granted: str, at: float = NOW, **changes: Any) -> Choice:
    """A choice on the site `main` that grants some purposes and refuses the others."""
    answers = {purpose: (scope, purpose in granted) for purpose, scope in policy.scopes.items()}
    values: dict[str, Any] = {"site": "main", "answers": answers, "decided_at": int(at)}
    if granted:
        values |= {"consent_id": CONSENT_ID, "revision": 1}
    return Choice(**(values | changes))


def make_decision(site: Site, *granted: str, at: float = NOW) -> Decision:
    """The decision that follows from `make_choice`."""
    return decide(make_choice(site.policy, *granted, at=at), site.id, site.policy, at)
