"""What could point at a person is taken out before anything is written; ordinary words stay."""

import time
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.analytics.masking import MAX_PATH, MAX_TEXT, Masker, campaign_fields, truncate_address

MASKER = Masker()
UUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

SECRETS = [
    "12345",
    "1234567",
    "2024-123456",
    "12.34.56.789",
    "12 345 678",
    "123-456-782",
    "NL91ABNA0417164300",
    "0612345678",
    "06-12345678",
    "+31612345678",
    "jan.jansen@voorbeeld.nl",
    "jan+kroon@post.voorbeeld.example",
    "j@b.nl",
    "JAN@VOORBEELD.NL",
    UUID,
    UUID.upper(),
    UUID.replace("-", ""),
    JWT,
    "d41d8cd98f00b204e9800998ecf8427e",
    "a1b2c3d4e5f6a7b8",
    "Gz95BCaBeMKxHva6J1MG8w",
    "yisPOIcTJkmbDXqwbecKwQ9",
    "kJ8_s-2LmQ0x-Zt7Yp4B",
    "abcdef1234567890abcdef",
    "sess_9f8a7b6c5d4e3f2a1b0c",
    "192.0.2.44",
    "2001:db8:1:2::44ab",
]
# What of a secret must not be found in the masked text: its telling part.
TELLING = {secret: secret[-8:] if "@" not in secret else secret.partition("@")[0] for secret in SECRETS}
ENCODINGS = (str, lambda text: quote(text, safe=""), lambda text: quote(quote(text, safe=""), safe=""))
AROUND = ("/dossier/{}", "/dossier/{}/stukken", "/x-{}-y", "/{}", "https://www.example.org/a/{}?b=1")


@pytest.mark.parametrize("secret", SECRETS)
def test_secrets_leave_a_path(secret: str) -> None:
    """File numbers, mail addresses, UUIDs and tokens become `:id`, plain, percent-encoded and encoded twice."""
    for encode in ENCODINGS:
        for around in AROUND:
            masked = MASKER.path(around.format(encode(secret)))
            assert ":id" in masked
            assert TELLING[secret] not in masked


ORDINARY = [
    "/",
    "/contact",
    "/artikelen/wat-kost-een-incasso-2024",
    "/Artikelen/Wat-Kost-Een-Incasso-2024",
    "/artikelen/arbeidsongeschiktheidsverzekering-2024",
    "/artikelen/aansprakelijkheidswaardevaststellingsveranderingen",
    "/nieuws/2024/11/05/nieuwe-regels",
    "/nieuws/2024-11-05-nieuwe-regels",
    "/jaarverslag-2024-2025",
    "/producten/7/1024",
    "/docs/algemene-voorwaarden.definitieve-versie.pdf",
    "/over_ons/het_team_van_2019",
    "/a/b/c/d/e/f",
    "/café-münchen",
    "/zoeken.aspx",
    "/v1.2.3/handleiding",
    "/incasso-b2b-voor-het-mkb",
    "/veelgestelde-vragen-over-de-wik-2012-en-later",
]


@pytest.mark.parametrize("path", ORDINARY)
def test_ordinary_paths_stay(path: str) -> None:
    """Words, slugs, years, dates in folders and short numbers are no secrets."""
    assert MASKER.path(path) == path
    assert MASKER.path(quote(path)) == path


PATHS = [
    ("", "/"),
    ("contact", "/contact"),
    ("/a?email=jan@voorbeeld.nl", "/a"),
    ("/a#jan@voorbeeld.nl", "/a"),
    ("https://www.example.org", "/"),
    ("https://www.example.org/a/b?c", "/a/b"),
    ("//www.example.org/a", "/a"),
    ("https://[::1/a", "/"),
    ("/a%3Fmail=jan@voorbeeld.nl", "/a?mail=:id"),
    ("/a%00b%0d%0aSet-Cookie", "/abSet-Cookie"),
    ("/a\u202eb", "/ab"),
    ("/a%2Fb", "/a/b"),
    ("/a;jsessionid=0123456789ABCDEF", "/a;jsessionid=:id"),
]


@pytest.mark.parametrize(("url", "path"), PATHS)
def test_a_path_is_only_a_path(url: str, path: str) -> None:
    """Host, query and fragment are left out, control characters too; there is always a path."""
    assert MASKER.path(url) == path


def test_texts_are_masked_as_well() -> None:
    """Campaigns, topics and properties lose their secrets and keep their words."""
    assert MASKER.text("herfst 2024 actie") == "herfst 2024 actie"
    assert MASKER.text("klant jan@voorbeeld.nl (dossier 1234567)") == "klant :id (dossier :id)"
    assert MASKER.text("jan%40voorbeeld.nl") == ":id"
    assert MASKER.text("jan%2540voorbeeld.nl") == ":id"
    assert MASKER.text("100% gratis") == "100% gratis"


def test_the_operator_s_own_patterns_are_masked() -> None:
    """What the configuration calls identifying becomes `:id` beside what always does."""
    masker = Masker(["KLANT-[A-Z0-9]+"])
    assert masker.path("/k/KLANT-AB12/98765") == "/k/:id/:id"


REFERRERS = [
    ("https://www.example.net/a/b?c=d#e", "www.example.net/a/b"),
    ("https://www.example.net", "www.example.net/"),
    ("https://nieuwsbrief.voorbeeldbedrijf.nl/x", "nieuwsbrief.voorbeeldbedrijf.nl/x"),
    ("HTTPS://WWW.Example.NET/A", "www.example.net/A"),
    ("https://www.example.net:8443/a", "www.example.net/a"),
    ("https://jan:geheim@www.example.net/a", "www.example.net/a"),
    ("https://mail.example.net/lees/jan@voorbeeld.nl/1234567", "mail.example.net/lees/:id/:id"),
    ("https://u123456.example.net/", "u:id.example.net/"),
    ("android-app://com.example.app/", "com.example.app/"),
    ("intent://com.example.app/", ""),
    ("javascript:alert(1)", ""),
    ("about:blank", ""),
    ("/relative", ""),
    ("https://", ""),
    ("https://[::1", ""),
    ("", ""),
]


@pytest.mark.parametrize(("url", "masked"), REFERRERS)
def test_a_referrer_is_host_and_masked_path(url: str, masked: str) -> None:
    """Of a page or an app that refers, host and masked path are kept, of anything else nothing."""
    assert MASKER.referrer(url) == masked


def test_a_cut_never_leaves_half_a_secret() -> None:
    """A long path is cut where nothing of an identifier stays: neither four digits nor a name without its domain."""
    for length in range(1, 1300, 7):
        for secret in ("7654321", "jan@voorbeeld.nl"):
            masked = MASKER.path("/" + "ab/" * (length // 3) + secret)
            assert "765" not in masked
            assert "jan" not in masked
            assert len(masked) <= MAX_PATH
            text = MASKER.text("ab " * (length // 3) + secret)
            assert "765" not in text
            assert "jan" not in text
            assert len(text) <= MAX_TEXT


@given(st.text(max_size=300))
@example("%" * 300)
@example("//" * 100)
@example("\ud800/%ed%a0%80")
def test_no_text_ever_raises(text: str) -> None:
    """Whatever a visitor asks for, masking answers: printable, bounded, a path that starts with a slash."""
    path = MASKER.path(text)
    assert path.startswith("/")
    assert path.isprintable()
    assert len(path) <= MAX_PATH
    assert MASKER.text(text).isprintable()
    MASKER.referrer(text)
    MASKER.referrer("https://" + text)
    campaign_fields(text)
    campaign_fields("?" + text)


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from(SECRETS), min_size=1, max_size=4),
    st.sampled_from(["/", "-", ".", "=", ","]),
    st.booleans(),
)
def test_secrets_side_by_side_are_all_masked(secrets: list[str], between: str, encoded: bool) -> None:
    """However secrets are strung together, none of their telling parts stays."""
    joined = between.join(secrets)
    masked = MASKER.path("/" + (quote(joined, safe="") if encoded else joined))
    assert [secret for secret in secrets if TELLING[secret] in masked] == []


@pytest.mark.parametrize(
    "text",
    [
        "a" * 100_000 + "!",
        "a-" * 50_000,
        "a." * 50_000,
        "aA1-" * 25_000,
        "1 " * 50_000,
        "a@" * 50_000,
        "%25" * 30_000,
        "eyJ" + "a" * 99_000,
        "A" * 50_000 + "-" * 50_000,
    ],
)
def test_hostile_texts_cost_no_time(text: str) -> None:
    """A hundred thousand letters take less than 50 ms, whatever they are."""
    for mask in (Masker().text, Masker().path, Masker().referrer):
        started = time.thread_time()
        mask("https://h.example/" + text)
        assert time.thread_time() - started < 0.05


CAMPAIGNS = [
    (
        "/?utm_source=nieuwsbrief&utm_medium=email&utm_campaign=a+b",
        {"utm_source": "nieuwsbrief", "utm_medium": "email", "utm_campaign": "a b"},
    ),
    ("/?gclid=abc", {"click": "google"}),
    ("/?wbraid=abc", {"click": "google"}),
    ("/?li_fat_id=abc", {"click": "linkedin"}),
    ("/?fbclid=abc&msclkid=d", {"click": "facebook"}),
    ("/?utm_source=een&utm_source=twee", {"utm_source": "een"}),
    ("/?email=jan@voorbeeld.nl&UTM_SOURCE=x&utm_sources=y&utm_source=", {}),
    ("/?utm_source=a#utm_medium=b", {"utm_source": "a"}),
    ("/#?utm_source=a", {"utm_source": "a"}),
    ("/a", {}),
    ("/?" + "a=b&" * 200 + "utm_source=late", {}),
]


@pytest.mark.parametrize(("url", "fields"), CAMPAIGNS)
def test_only_campaign_fields_are_read(url: str, fields: dict[str, str]) -> None:
    """Of a query only the campaign's own parameters and the network of a click id are read, each once."""
    assert campaign_fields(url) == fields


ADDRESSES = [
    ("192.0.2.201", "192.0.2.0/24"),
    ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
    ("::ffff:192.0.2.201", "192.0.2.0/24"),
    ("fe80::1%eth0", "fe80::/48"),
    ("", ""),
    ("visitor", ""),
    ("192.0.2.201:80", ""),
    ("192.0.2.201, 10.0.0.1", ""),
]


@pytest.mark.parametrize(("ip", "network"), ADDRESSES)
def test_addresses_are_cut(ip: str, network: str) -> None:
    """Of an address only the /24 or /48 is kept, of anything else nothing."""
    assert truncate_address(ip) == network
