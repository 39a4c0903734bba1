"""A small, real PDF from a few lines of text, so that the demo site has a document to download."""

from collections.abc import Sequence

PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 5 0 R/Resources<</Font<</F1 4 0 R>>>>>>"


def build_pdf(title: str, lines: Sequence[str]) -> bytes:
    """One A4 page: the title large, the lines below it. Text outside Latin-1 becomes a question mark."""
    content = _content(title, lines)
    objects = [
        b"<</Type/Catalog/Pages 2 0 R/Lang(nl-NL)>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        PAGE,
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
    ]
    return _assemble(objects)


def _content(title: str, lines: Sequence[str]) -> bytes:
    shown = [b"BT /F1 20 Tf 64 770 Td (%s) Tj /F1 11 Tf 0 -36 Td 17 TL" % _text(title)]
    shown += [b"(%s) Tj T*" % _text(line) for line in lines]
    return b"\n".join([*shown, b"ET"])


def _text(text: str) -> bytes:
    """The inside of a PDF string: brackets and back slashes escaped."""
    escaped = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    return escaped.encode("latin-1", "replace")


def _assemble(objects: Sequence[bytes]) -> bytes:
    body = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
    offsets = []
    for number, value in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj%s endobj\n" % (number, value)
    count = len(objects) + 1
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (count, len(body))
    return body + b"xref\n0 %d\n0000000000 65535 f \n" % count + table + trailer
