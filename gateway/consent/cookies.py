"""The cookie firewall: which cookies of a response may reach the browser."""

from collections.abc import Iterable
from functools import lru_cache

from gateway.consent.decision import Decision
from gateway.policy import UNKNOWN, Policy

Header = tuple[bytes, bytes]
# They are between the browser and us.
OWN = frozenset(prefix + name for prefix in (b"", b"__Host-", b"__Secure-") for name in (b"gw_consent", b"gw_visit"))


def cookie_of(value: bytes) -> str:
    """The name in a Set-Cookie value; empty for a nameless cookie (which no policy can list)."""
    name, separator, _ = value.partition(b"=")
    return name.strip().decode("latin-1") if separator and b";" not in name else ""


def find_refused(headers: Iterable[Header], policy: Policy, decision: Decision) -> list[tuple[Header, str, str]]:
    """The Set-Cookie headers that may not pass, each with its cookie's name and purpose."""
    refused = []
    for header in headers:
        if header[0] != b"set-cookie" and header[0].lower() != b"set-cookie":
            continue
        name = cookie_of(header[1])
        purpose = policy.purpose_of_cookie(name) if name else UNKNOWN
        if not decision.allows(purpose):
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
        purpose = policy.purpose_of_cookie(name)
        allowed = decision.allows(purpose)
        if not allowed:
            refused.append((name, purpose))
        if allowed or not enforce:
            kept.append(part)
    return b";".join(kept).strip(), refused


def expire_cookies(names: Iterable[str], host: str, *, secure: bool) -> list[str]:
    """Set-Cookie values that delete cookies from this host and from each of its parent domains."""
    domains = ["", *_parents(host)]
    tail = "; Secure" if secure else ""
    return [
        f"{name}=; Max-Age=0; Path=/{f'; Domain={domain}' if domain else ''}{tail}"
        for name in names
        for domain in domains
        if not (domain and name.startswith("__Host-"))
    ]


def _parents(host: str) -> list[str]:
    """`shop.example.org` -> itself and `example.org`; addresses and single names have none."""
    labels = host.split(".")
    if len(labels) < 2 or labels[-1].isdigit() or ":" in host:
        return []
    return [".".join(labels[start:]) for start in range(len(labels) - 1)]
