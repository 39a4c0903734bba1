"""Private and special addresses are refused however they are written, in URLs and as addresses connected to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.destinations.addresses import find_url_fault, is_public


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "2a00:1450::1%eth0",
        "",
        "localhost",
        "127.1",
        "1.2.3.4:80",
        "[::1]",
    ],
)
def test_special_addresses_are_not_public(address: str) -> None:
    """Loopback, private, link-local, shared, translated, reserved, multicast, and what is no address."""
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "93.184.215.14", "100.63.255.255", "172.32.0.1", "::ffff:8.8.8.8", "2a00:1450:4013::1"],
)
def test_ordinary_addresses_are_public(address: str) -> None:
    """The internet's own addresses, next to the ranges too."""
    assert is_public(address)


@given(st.ip_addresses())
def test_no_address_is_public_that_python_calls_private(address: object) -> None:
    """Ours is the stricter list."""
    text = str(address)
    assert not is_public(text) or address.is_global or "ffff:" in text  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.org",
        "//hooks.example.org/in",
        "http://hooks.example.org/in",
        "ftp://hooks.example.org/in",
        "file:///etc/passwd",
        "gopher://hooks.example.org/",
        "https://",
        "https:///in",
        "https://user@hooks.example.org/",
        "https://user:word@hooks.example.org/",
        "https://hooks.example.org@127.0.0.1/",
        "https://hooks.example.org/in#part",
        "https://hooks.example.org:0/",
        "https://hooks.example.org:99999/",
        "https://hooks.example.org:port/",
        "https://hooks.example.org/a b",
        "https://hooks.example.org/\r\nx: y",
        "https://hooks.example.org/\0",
        "https://hooks.example.org\\@127.0.0.1/",
        "https://[::1",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://hook.localhost/",
        "https://printer.local/",
        "https://metadata.google.internal/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://0/",
        "https://0x7f.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://017700000001/",
        "https://127.0.0.1./",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.1.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[fd00::1]/",
        "https://[fe80::1%25eth0]/",
    ],
)
def test_urls_that_must_not_be_used(url: str) -> None:
    """Other schemes, plain http, credentials, fragments, bad ports, control characters, private hosts."""
    assert find_url_fault(url, allow_private=False) is not None


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.org/in?tenant=1",
        "https://hooks.example.org:8443/",
        "https://8.8.8.8/",
        "https://münchen.example/",
    ],
)
def test_urls_that_may_be_used(url: str) -> None:
    """Public hosts by https, with a port or query or without."""
    assert find_url_fault(url, allow_private=False) is None


def test_private_receivers_must_be_named() -> None:
    """With allow_private, plain http and the operator's own network are open; other faults stay faults."""
    for url in ("http://127.0.0.1:9000/in", "http://localhost/in", "https://[::1]/in", "http://10.0.0.7/in"):
        assert find_url_fault(url, allow_private=True) is None
    for url in ("file:///etc/passwd", "http://u:p@127.0.0.1/", "http://127.0.0.1/\r\n", "http://"):
        assert find_url_fault(url, allow_private=True) is not None
