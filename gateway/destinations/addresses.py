"""Which addresses and URLs a destination may have: public ones, unless the operator says otherwise.

A webhook's URL makes the gateway's own network reachable for whoever can set it, so private, local and
special addresses are refused: when the configuration is read (`find_url_fault`) and, since a name may point
anywhere a minute later, for the very address of each connection (`is_public`).
"""

import socket
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

# What Python's `is_global` lets pass in some versions, and what leads to IPv4 behind an IPv6 address (NAT64,
# 6to4, Teredo). See the special-purpose registries:
# https://www.iana.org/assignments/iana-ipv6-special-registry/
REFUSED = tuple(
    ip_network(network)
    for network in (
        "100.64.0.0/10",
        "168.63.129.16/32",  # Azure's metadata and DNS, in a public range
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "240.0.0.0/4",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    )
)
GLOBAL_UNICAST = ip_network("2000::/3")
LOCAL_NAMES = ("localhost", "localdomain", "local", "internal")


def is_public(address: str) -> bool:
    """Whether an IP address (as text, no port) belongs to the public internet; the unreadable does not."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return is_public(str(parsed.ipv4_mapped))
        if parsed.scope_id is not None or parsed not in GLOBAL_UNICAST:
            return False
    if any(parsed in network for network in REFUSED):
        return False
    return parsed.is_global and not parsed.is_multicast


def find_url_fault(url: str, *, allow_private: bool) -> str | None:
    """What is wrong with a destination's URL, as a phrase for the operator; None when nothing is."""
    if not url.isprintable() or any(character in " \\" for character in url):
        return "holds spaces, backslashes or control characters"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "is not a URL"
    if port == 0:
        return "has no usable port"
    return _fault_in_parts(parts, allow_private) or _fault_in_host(host, allow_private)


def _fault_in_parts(parts: SplitResult, allow_private: bool) -> str | None:
    if parts.scheme not in ("https", "http"):
        return "wanted an https:// URL"
    if parts.scheme == "http" and not allow_private:
        return "wanted https; plain http is for receivers of your own (allow_private = true)"
    if "@" in parts.netloc:
        return "holds a user name or password; use `secret`"
    return "has a fragment, which is never sent" if parts.fragment else None


def _fault_in_host(host: str, allow_private: bool) -> str | None:
    if not host or "%" in host:
        return "names no usable host"
    if allow_private:
        return None
    name = host.rstrip(".").lower()
    literal = _parse_literal(name)
    if name.rpartition(".")[2] in LOCAL_NAMES or (literal is not None and not is_public(literal)):
        return "leads into a private network; wanted a public host, or allow_private = true"
    return None


def _parse_literal(host: str) -> str | None:
    """The address that a host name spells, in any way that resolvers take: 127.1, 0x7f000001, 2130706433."""
    if ":" in host:
        return host
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None
