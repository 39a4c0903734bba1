"""The cookie firewall: which cookies of a response may reach the browser."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate

from gateway.consent.decision import LIFETIME_SECONDS, Decision
from gateway.policy import NOBODY, Policy

Header = tuple[bytes, bytes]
MAX_PATH, MAX_STEPS = 512, 8
OVERHEAD = len("set-cookie: \r\n")
_PATH = re.compile(r"/[!#-+\--:<-~]*\Z")  # what a cookie's path may hold: no space, quote, comma or semicolon
# Words in the names of cookies by which sites keep forms, sign-in and baskets working.
_NEEDED = re.compile(
    r"csrf|xsrf|forgery|verif|nonce|token|sess|auth|jwt|sso|log[_-]?(?:in|on|ged)|cart|basket|mandje|winkel|checkout|affinity"
    r"|(?<![a-z])sid(?![a-z])",
    re.IGNORECASE,
)
# They are between the browser and us.
OWN = frozenset(prefix + name for prefix in (b"", b"__Host-", b"__Secure-") for name in (b"gw_consent", b"gw_visit"))


def cookie_of(value: bytes) -> str:
    """The name in a Set-Cookie value; empty for a nameless cookie (which no policy can list)."""
    name, separator, _ = value.partition(b"=")
    return name.strip().decode("latin-1") if separator and b";" not in name else ""


def is_named_as_needed(name: str) -> bool:
    """Whether a cookie nobody knows is named as those are without which a form, signing in or a basket fails. A guess."""
    return _NEEDED.search(name) is not None


def find_refused(headers: Iterable[Header], policy: Policy, decision: Decision) -> list[tuple[Header, str, str]]:
    """The Set-Cookie headers that may not pass, each with its cookie's name and purpose."""
    refused = []
    for header in headers:
        if header[0] != b"set-cookie" and header[0].lower() != b"set-cookie":
            continue
        name = cookie_of(header[1])
        purpose, service = policy.owner_of_cookie(name) if name else NOBODY
        if not decision.allows_service(service, purpose):
            refused.append((header, name, purpose))
    return refused


@lru_cache(maxsize=64)
def stated_consent(purposes: tuple[str, ...]) -> bytes:
    """What the site's server is told of a decision: the purposes granted, `analytics, marketing`, or `none`."""
    return ", ".join(purposes).encode() or b"none"


def find_kept(
    header: bytes, policy: Policy, decision: Decision, *, enforce: bool
) -> tuple[bytes, list[tuple[str, str]]]:
    """What is left of a Cookie header when our own cookies are taken out, and with `enforce` those without consent; and
    the latter by name and purpose. Bytes of what is kept stay as they are."""
    kept, refused = [], []
    for part in header.split(b";"):
        raw = part.partition(b"=")[0].strip()
        if raw in OWN or not raw:
            continue
        name = raw.decode("latin-1")
        purpose, service = policy.owner_of_cookie(name)
        allowed = decision.allows_service(service, purpose)
        if not allowed:
            refused.append((name, purpose))
        if allowed or not enforce:
            kept.append(part)
    return b";".join(kept).strip(), refused


def expire_cookies(names: Iterable[str], host: str, *, secure: bool, paths: Iterable[str] = ("/",)) -> list[str]:
    """Set-Cookie values that delete cookies from this host and from each of its parent domains, under each path; on https
    those in partitioned storage as well, which are others."""
    found, domains = list(names), ["", *_parents(host)]
    tails = ("; Secure", "; Secure; Partitioned") if secure else ("",)
    return [
        f"{name}=; Max-Age=0; Path={path}{f'; Domain={domain}' if domain else ''}{tail}"
        for path in paths
        for tail in tails
        for name in found
        for domain in domains
        if not (name.startswith("__Host-") and (domain or path != "/"))
    ]


def paths_above(path: str) -> list[str]:
    """The paths below "/" that a cookie seen on a page may have: `/a/b` -> `/a`, `/a/`, `/a/b`."""
    plain = path.partition("?")[0]
    if not _PATH.match(plain) or len(plain) > MAX_PATH:
        return []
    ends = [at for at, letter in enumerate(plain) if letter == "/" and at][:MAX_STEPS]
    found = [plain[:stop] for at in ends for stop in (at, at + 1)]
    return list(dict.fromkeys([*found, plain])) if plain != "/" else []


def cut_to(lines: Sequence[str], size: int) -> list[str]:
    """The first lines, as many as fit into so many bytes of a response's head."""
    taken = accumulate(len(line) + OVERHEAD for line in lines)
    return [line for line, bytes_taken in zip(lines, taken, strict=True) if bytes_taken <= size]


def _parents(host: str) -> list[str]:
    """`shop.example.org` -> itself and `example.org`; addresses and single names have none."""
    labels = host.split(".")
    if len(labels) < 2 or labels[-1].isdigit() or ":" in host:
        return []
    return [".".join(labels[start:]) for start in range(len(labels) - 1)]


def build_set_cookie(name: str, value: str, *, max_age: int = LIFETIME_SECONDS, secure: bool, domain: str = "") -> str:
    """A Set-Cookie header's value: HttpOnly, SameSite=Lax, the whole site, Secure on https."""
    return name + "=" + value + _cookie_flags(max_age, secure, domain)


@lru_cache(maxsize=256)
def _cookie_flags(max_age: int, secure: bool, domain: str) -> str:
    """What follows a cookie's value: one of a few texts, and asked for with each event."""
    flags = "; Secure" if secure else ""
    if domain:
        flags += f"; Domain={domain}"
    return f"; Max-Age={max_age}; Path=/; HttpOnly; SameSite=Lax{flags}"
