"""Which answers a browser may take for a page, whatever their head says or leaves out."""

import gzip

import pytest

from gateway.web.kinds import Kind, classify, hides_tags, sniff

TYPES = [
    (b"text/html", Kind.PAGE),
    (b"application/speculationrules+json", Kind.RULES),
    (b" Text/HTML ; Charset=Windows-1252", Kind.PAGE),
    (b"text/html charset=utf-8", Kind.PAGE),
    (b"text/html(what)", Kind.PAGE),
    (b"text/plain, text/html", Kind.PAGE),
    (b'text/html;charset="shift_jis"', Kind.PAGE),
    (b"text/html; charset=x-utf-16-not", Kind.PAGE),
    (b"text/html; charset=utf-16le", Kind.CLOSED),
    (b"text/html; charset = 'UTF-16'", Kind.CLOSED),
    (b"text/html;charset=unicode", Kind.CLOSED),
    (b'text/html; charset="iso-2022-jp"', Kind.CLOSED),
    (b"application/xhtml+xml; charset=utf-8", Kind.CLOSED),
    (b"image/svg+xml", Kind.CLOSED),
    (b"text/xml", Kind.CLOSED),
    (b"multipart/x-mixed-replace; boundary=frame", Kind.CLOSED),
    (b"", Kind.UNSURE),
    (b"html", Kind.UNSURE),
    (b"*/*", Kind.UNSURE),
    (b"unknown/unknown", Kind.UNSURE),
    (b"text/htmlx", Kind.OTHER),
    (b"text/plain", Kind.OTHER),
    (b"text/event-stream", Kind.OTHER),
    (b"application/json", Kind.OTHER),
    (b"application/octet-stream", Kind.OTHER),
]


@pytest.mark.parametrize(("content_type", "kind"), TYPES)
def test_an_answer_is_known_by_its_type(content_type: bytes, kind: Kind) -> None:
    """As browsers read it: in any case, with any parameters, by the last of several; no type is none."""
    assert classify(content_type) is kind


STARTS = [
    (b"<!DOCTYPE html><title>x", Kind.PAGE),
    (b"\r\n\t <html lang=nl><body>", Kind.PAGE),
    (b"<!-- a comment --><p>x", Kind.PAGE),
    (b"<script>x</script><p>", Kind.PAGE),
    (b"<bold>is no tag of those</bold>", Kind.CLOSED),
    (b"<form action=/zoeken></form>", Kind.CLOSED),
    (b"<?xml version='1.0'?><html/>", Kind.CLOSED),
    (b"\xff\xfe<\0h\0t\0m\0l\0>\0p\0p\0p\0", Kind.CLOSED),
    (b"plain text with a <b>tag</b> in it", Kind.OTHER),
    (b"\x89PNG\r\n\x1a\n and more of it", Kind.OTHER),
    (b'{"json": "<html>"}', Kind.OTHER),
    (b"", Kind.OTHER),
    (b"<p>", Kind.PAGE),
    (b"<", Kind.CLOSED),
]


@pytest.mark.parametrize(("start", "kind"), STARTS)
def test_an_answer_without_a_type_is_known_by_its_bytes(start: bytes, kind: Kind) -> None:
    """What browsers take for HTML is a page; what some might, is closed; the same when it comes compressed. While too few
    bytes are there, more are waited for."""
    assert sniff(start, b"", more=False) is kind
    assert sniff(gzip.compress(start), b"gzip", more=False) is kind
    assert sniff(b"<", b"", more=True) is sniff(b"  ", b"", more=True) is None
    assert sniff(b" " * 1445, b"", more=True) is Kind.OTHER
    assert sniff(start, b"compress", more=True) is sniff(b"no gzip", b"gzip", more=True) is Kind.CLOSED


def test_an_encoding_that_hides_tags_is_seen_at_the_start() -> None:
    """By a mark or by the page's own word, which counts within the first 1,024 bytes; a page may speak of it."""
    assert hides_tags("<p>".encode("utf-16"))
    assert hides_tags(b"\xfe\xff\0<\0p\0>")
    assert hides_tags(b'<!doctype html><meta charset="ISO-2022-JP">')
    assert hides_tags(b'<meta http-equiv="content-type" content="text/html; charset=iso-2022-jp">')
    assert not hides_tags(b"<title>iso-2022-jp: an old encoding</title>")
    assert not hides_tags(b" " * 1024 + b'<meta charset="iso-2022-jp">')
