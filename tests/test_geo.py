"""Countries are looked up when they can be, and unknown otherwise; a database never costs a page."""

import logging
from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]

from gateway.geo import Countries
from gateway.resources import country_database


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A country database with both layouts of records, and with rubbish."""
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="Country")
    writer.insert_network(IPSet(["192.0.2.0/24"]), {"country": {"iso_code": "NL"}})
    writer.insert_network(IPSet(["198.51.100.0/24", "2001:db8::/32"]), {"country_code": "BE"})
    writer.insert_network(IPSet(["203.0.113.0/25"]), {"country": "DE"})
    writer.insert_network(IPSet(["203.0.113.128/25"]), {"country": {"iso_code": "Nederland"}})
    path = tmp_path_factory.mktemp("geo") / "country.mmdb"
    writer.to_db_file(str(path))
    return path


LOOKUPS = [
    ("192.0.2.9", "NL"),
    ("198.51.100.1", "BE"),
    ("2001:db8::1", "BE"),
    ("203.0.113.1", "DE"),
    ("203.0.113.200", ""),
    ("10.0.0.1", ""),
    ("", ""),
    ("visitor", ""),
    ("192.0.2.9, 10.0.0.1", ""),
    ("fe80::1%eth0", ""),
    ("\0", ""),
]


@pytest.mark.parametrize(("ip", "country"), LOOKUPS)
def test_addresses_have_countries(database: Path, ip: str, country: str) -> None:
    """An address gives its two-letter code in either layout; what is no address, or has no code, gives nothing."""
    assert Countries(database).find(ip) == country


def test_a_missing_or_broken_database_means_unknown(
    database: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No file, a folder, rubbish, a file cut short: countries are unknown, said once, and nothing raises."""
    (tmp_path / "rubbish.mmdb").write_bytes(b"not a database" * 100)
    whole = database.read_bytes()
    (tmp_path / "short.mmdb").write_bytes(whole[: len(whole) // 2])
    for path in (None, tmp_path / "none.mmdb", tmp_path, tmp_path / "rubbish.mmdb", tmp_path / "short.mmdb"):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            countries = Countries(path)
            assert [countries.find(ip) for ip in ("192.0.2.9", "198.51.100.1", "x")] == ["", "", ""]
        assert len(caplog.records) == (path is not None)
        assert "192.0.2.9" not in caplog.text


def test_a_damaged_tree_is_said_once(database: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A database that opens but is damaged inside gives unknown, with one warning that names no address."""
    damaged = bytearray(database.read_bytes())
    marker = damaged.rfind(b"\xab\xcd\xefMaxMind.com")
    damaged[: marker // 2] = b"\xff" * (marker // 2)
    path = tmp_path / "damaged.mmdb"
    path.write_bytes(damaged)
    countries = Countries(path)
    with caplog.at_level(logging.WARNING):
        found = {countries.find(f"192.0.2.{last}") for last in range(20)}
    assert found == {""}
    assert len(caplog.records) <= 1
    assert "192.0.2." not in caplog.text


def test_the_shipped_database_knows_countries() -> None:
    """The database that comes with the package opens and knows a well-known resolver's country."""
    path = country_database()
    assert path is not None
    assert len(Countries(path).find("193.0.6.139")) == 2
