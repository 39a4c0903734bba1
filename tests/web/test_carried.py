"""What a Cookie header means is worked out once, and yet expiry, withdrawal, host, scheme and signal count each time."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.analytics.visit import Visit, encode_visit
from gateway.consent.consent_cookie import encode_choice
from gateway.consent.decision import LIFETIME_SECONDS, UNDECIDED
from gateway.consent.tombstones import add_tombstone, ring
from gateway.database import transaction
from gateway.flows.decide import Decider
from gateway.flows.parts import Parts
from gateway.web.carried import MAX_REMEMBERED, REMEMBERED, Carried, CookieReader, VisitReader
from gateway.web.request import RequestReader, VisitorRequest
from tests.example_site import CONSENT_ID, NOW, make_choice
from tests.flows.worker_parts import opened_parts

NAME = "gw_consent"


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    """One worker's parts, on a database that nobody else writes to."""
    with opened_parts(tmp_path) as opened:
        yield opened


def cookie(parts: Parts, *granted: str, at: float = NOW) -> str:
    choice = make_choice(parts.config.sites[0].policy, *granted, at=at)
    return f"{NAME}={encode_choice(choice, parts.signers.consent)}"


def carry(reader: CookieReader, parts: Parts, header: str, *, now: float = NOW, gpc: bool = False) -> Carried:
    """What a request with this Cookie header carries."""
    return reader.read(ask(header, gpc=gpc), parts.config.sites[0], NAME, now)


def ask(header: str, *, gpc: bool = False) -> VisitorRequest:
    """A request with this Cookie header."""
    headers = [(b"host", b"localhost"), (b"cookie", header.encode()), *([(b"sec-gpc", b"1")] if gpc else [])]
    return RequestReader(()).read({"type": "http", "path": "/", "headers": headers})


def test_the_same_header_is_judged_once(parts: Parts) -> None:
    """Decision, rest and refused cookies of a header are remembered; a header with another cookie is another one."""
    reader = CookieReader(Decider(parts))
    header = cookie(parts, "analytics") + "; sessionid=1; _tel=2; _ads=3"
    first = carry(reader, parts, header)
    assert first.decision.purposes == ("analytics",)
    assert (first.left, first.refused) == (b"sessionid=1; _tel=2", (("_ads", "marketing"),))
    assert carry(reader, parts, header) is first
    assert carry(reader, parts, header + "; sessionid=4").left == b"sessionid=1; _tel=2; sessionid=4"
    assert carry(reader, parts, header, gpc=True).decision.purposes == ("analytics",)
    assert carry(reader, parts, header, gpc=True) is not first


def test_a_withdrawal_ends_what_is_remembered_at_once(parts: Parts) -> None:
    """With the next request the same header grants nothing, and cookies of the purpose do not pass any more."""
    reader = CookieReader(Decider(parts))
    header = cookie(parts, "analytics") + "; _tel=2"
    assert carry(reader, parts, header).left == b"_tel=2"
    with transaction(parts.engine) as connection:
        add_tombstone(connection, CONSENT_ID, 2, NOW)
    ring(parts.engine)
    assert carry(reader, parts, header) == Carried(UNDECIDED, b"", (("_tel", "analytics"),))


def test_a_choice_expires_while_its_header_is_remembered(parts: Parts) -> None:
    """A header is judged anew each quarter of an hour, so an old choice ends in time."""
    reader, header = CookieReader(Decider(parts)), cookie(parts, at=NOW - LIFETIME_SECONDS + 10)
    assert carry(reader, parts, header).decision.chosen
    assert not carry(reader, parts, header, now=NOW + 900).decision.chosen


def test_what_a_visitor_invents_is_not_remembered(parts: Parts) -> None:
    """Headers without a choice of ours, or longer than browsers make them, never fill the memory; others do up to a bound."""
    reader = CookieReader(Decider(parts))
    for number in range(50):
        carry(reader, parts, f"{NAME}=forged{number}; other={number}")
    carry(reader, parts, cookie(parts) + "; long=" + "x" * MAX_REMEMBERED)
    assert reader._remembered == {}
    for number in range(REMEMBERED + 10):
        carry(reader, parts, cookie(parts) + f"; sessionid={number}")
    assert 0 < len(reader._remembered) <= REMEMBERED


def test_what_cannot_be_asked_is_no(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    """When withdrawals cannot be read, a remembered yes counts for nothing; the request is served all the same."""
    reader, header = CookieReader(Decider(parts)), cookie(parts, "analytics") + "; _tel=2; sessionid=1"
    assert carry(reader, parts, header).decision.granted
    parts.tombstones.close()
    parts.engine.dispose()
    assert carry(reader, parts, header) == Carried(UNDECIDED, b"sessionid=1", (("_tel", "analytics"),), known=False)
    assert "no decision could be made" in caplog.text


def test_a_refusal_elsewhere_fills_no_memory(parts: Parts) -> None:
    """What another tool's cookie says is read each time: anybody can write one."""
    reader = CookieReader(Decider(parts))
    first = carry(reader, parts, "cookieconsent_status=deny; _tel=2; sessionid=1")
    assert (first.decision.elsewhere, first.decision.chosen, first.left) == ("osano", True, b"sessionid=1")
    assert carry(reader, parts, "cookieconsent_status=deny; _tel=2; sessionid=1") is not first


def test_a_visit_is_read_once_for_a_header(parts: Parts) -> None:
    """The same header gives the visit that was read from it; under another name, or damaged, there is none."""
    reader, signer = VisitReader(parts.signers.visit), parts.signers.visit
    visits = [Visit("main", letter * 22, int(NOW), int(NOW)) for letter in "VW"]
    headers = [f"a=1; gw_visit={encode_visit(visit, signer)}" for visit in visits]
    assert [reader.read(ask(header), "gw_visit") for header in headers] == visits
    assert reader.read(ask(headers[0]), "gw_visit") is reader.read(ask(headers[0]), "gw_visit")
    assert reader.read(ask(headers[0]), "__Host-gw_visit") is None
    assert reader.read(ask(headers[0][:-1]), "gw_visit") is None
    assert reader.read(ask(headers[0] + "; gw_visit=x"), "gw_visit") is None


def test_visits_never_fill_the_memory(parts: Parts) -> None:
    """Headers without a visit of ours, or longer than browsers make them, are not remembered; others up to a bound."""
    reader = VisitReader(parts.signers.visit)
    value = encode_visit(Visit("main", "V" * 22, int(NOW), int(NOW)), parts.signers.visit)
    reader.read(ask(f"a={'x' * MAX_REMEMBERED}; gw_visit={value}"), "gw_visit")
    reader.read(ask("gw_visit=invented"), "gw_visit")
    assert len(reader._remembered) == 0
    for number in range(REMEMBERED + 1):
        assert reader.read(ask(f"a={number}; gw_visit={value}"), "gw_visit") is not None
    assert len(reader._remembered) == 1
