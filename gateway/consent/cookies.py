"""The cookie firewall: which cookies of a response may reach the browser."""

from collections.abc import Iterable

from gateway.consent.decision import Decision
from gateway.policy import UNKNOWN, Policy

Header = tuple[bytes, bytes]


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
