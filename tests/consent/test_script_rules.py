"""Inline scripts are known by signatures of services, and held while the service's purpose is not granted."""

import random
from itertools import pairwise

import pytest

from gateway.consent.decision import UNDECIDED, decide
from gateway.consent.script_rules import make_signature
from gateway.consent.tag_gate import TagGate
from gateway.consent.tags import PageRewriter
from gateway.consent.whole_page import rewrite_page
from tests.example_site import NOW, POLICY_TOML, make_choice, read_policy

SIGNED = POLICY_TOML.replace(
    'name = "Teller"', "name = 'Teller'\ninline = [\"teller('start'\", 'TellerObject']"
).replace('name = "Voorbeeld Video"', 'name = "Voorbeeld Video"\ninline = ["advert.push("]')
POLICY = read_policy(SIGNED)
OWN_HOSTS = frozenset(("www.example.org",))


def gate(*granted: str) -> TagGate:
    decision = decide(make_choice(POLICY, *granted), "main", POLICY, NOW) if granted else UNDECIDED
    return TagGate(POLICY, decision, OWN_HOSTS)


def hold(html: bytes, *granted: str) -> bytes:
    page = rewrite_page(html, gate(*granted), enforce=True)
    return page.before + page.after


def stream(html: bytes, tag_gate: TagGate, *cuts: int) -> bytes:
    """The page as it leaves when it arrives in pieces cut at these places."""
    rewriter = PageRewriter(tag_gate, lambda _: b"", enforce=True)
    out = b"".join(rewriter.feed(html[start:end]) for start, end in pairwise([0, *sorted(cuts), len(html)]))
    out += rewriter.finish()
    rewriter.close()
    return out


FOUND = [
    ("teller('start'", "teller('start', 'X-1')"),
    ("teller('start'", 'window.teller( "start" );'),
    ("teller('start'", "a();teller\n(\n`start`)"),
    ("TellerObject", "w['TellerObject']=r"),
    ("advert.push(", "(advert = advert||[]) ; advert . push ({})"),
    ("new Pixel(", "x = new   Pixel (1)"),
    ("//teller.example.net/t.js", "s.src='https://teller.example.net/t.js'"),
]
MISSED = [
    ("teller('start'", "mijnteller('start')"),
    ("teller('start'", "teller('stop')"),
    ("TellerObject", "tellerobject"),
    ("new Pixel(", "newPixel("),
    ("TellerObject", "$TellerObject"),
]


@pytest.mark.parametrize(("signature", "script"), FOUND)
def test_a_signature_is_found_whatever_its_spaces_and_quotes(signature: str, script: str) -> None:
    """Minified or not, with any kind of quote, a service's code is known; and its word stands in the page's bytes."""
    made = make_signature(signature, ("analytics", "teller"))
    assert made.pattern.search(script)
    assert made.word in script.encode()


@pytest.mark.parametrize(("signature", "script"), MISSED)
def test_a_signature_is_no_part_of_a_longer_word(signature: str, script: str) -> None:
    """A name that only ends like it, or is written in another case, is another name."""
    assert not make_signature(signature, ("analytics", "teller")).pattern.search(script)


CALL = b"teller('start', 'X-1')"
HELD = [
    (
        b"<script>" + CALL + b"</script>",
        b'<script data-gw-type="" type="text/plain" data-gw-purpose="analytics" data-gw-service="counter">'
        + CALL
        + b"</script>",
    ),
    (
        b"<script type=module id=a nonce=n>" + CALL + b"</script>",
        b'<script type="text/plain" id=a nonce=n data-gw-type="module" data-gw-purpose="analytics" data-gw-service="counter">'
        + CALL
        + b"</script>",
    ),
    (
        b"<script type='Text/JavaScript' >\n" + CALL + b"</script >",
        b'<script type="text/plain" data-gw-type="Text/JavaScript" data-gw-purpose="analytics" data-gw-service="counter">\n'
        + CALL
        + b"</script >",
    ),
    (
        b"<script><!--\nif (a<b) " + CALL + b" <script>x</script> \n//--></script>",
        b'<script data-gw-type="" type="text/plain" data-gw-purpose="analytics" data-gw-service="counter"><!--\nif (a<b) '
        + CALL
        + b" <script>x</script> \n//--></script>",
    ),
    (
        b"<script>" + CALL + b";advert.push(1)</script>",
        b'<script data-gw-type="" type="text/plain" data-gw-purpose="analytics marketing" data-gw-service="counter video">'
        + CALL
        + b";advert.push(1)</script>",
    ),
    (
        b"<svg><script>" + CALL + b"</script></svg>",
        b'<svg><script data-gw-type="" type="text/plain" data-gw-purpose="analytics" data-gw-service="counter">'
        + CALL
        + b"</script></svg>",
    ),
]


@pytest.mark.parametrize(("html", "held"), HELD)
def test_a_script_with_a_refused_signature_is_held(html: bytes, held: bytes) -> None:
    """Its type is renamed, every other byte stays; granted it keeps them all."""
    around = b"<script>a()</script><script></script><script src=/teller.js></script>%s<script>b()</script>"
    assert hold(around % html) == around % held
    assert hold(around % html, "analytics", "marketing") == around % html


QUIET = [
    b"<script>verteller('start')</script>",
    b"<p>teller('start')</p>",
    b"<script type=text/x-template>teller('start')</script>",
    b'<script type="application/json">{"a": "teller(\'start\')"}</script>',
    b"<script src=/a.js>teller('start')</script>",
    b"<!-- <script>teller('start')</script> -->",
    b"<textarea><script>teller('start')</script></textarea>",
    b"<script>caf\xe9('\xff')</script><p>teller('start') caf\xe9</p>",
]


@pytest.mark.parametrize("html", QUIET)
def test_what_does_not_run_is_left_alone(html: bytes) -> None:
    """Text, templates, data, scripts with an address, pages in any encoding: not a byte changes, whole or cut."""
    assert hold(html) == html
    for at in range(len(html)):
        assert stream(html, gate(), at) == html


PAGE = (
    b"<!doctype html><html><head><script></script><script>var caf\xe9 = 'caf\xe9'</script><script src=/a.js></script>"
    b"<script nonce=1>" + CALL + b"</script></head><body><p>caf\xc3\xa9</p><script> </script>"
    b'<script type=importmap>{"imports": {"a": "https://evil.example/a.js"}}</script>'
    b"<script>advert . push(1)</script><script>last()</script></body></html>"
)


def test_a_stream_is_held_as_a_whole_page_is() -> None:
    """Cut at any byte, at many, or between all of them, the page leaves with the same bytes; foreign encodings keep
    theirs."""
    expected = hold(PAGE)
    assert expected.count(b"data-gw-purpose") == 3
    assert b"var caf\xe9 = 'caf\xe9'" in expected
    for at in range(len(PAGE)):
        assert stream(PAGE, gate(), at) == expected
    dice = random.Random(7)
    for _ in range(100):
        assert stream(PAGE, gate(), *dice.sample(range(len(PAGE)), 30)) == expected
    assert stream(PAGE, gate(), *range(len(PAGE))) == expected


def test_a_stream_waits_for_a_script_s_end_alone() -> None:
    """What comes before an open script leaves at once when it comes by itself; after an empty script nothing waits."""
    rewriter = PageRewriter(gate(), lambda _: b"", enforce=True)
    assert rewriter.feed(b"<p>a</p>") == b"<p>a</p>"
    assert rewriter.feed(b"<script>tel") == b""
    assert rewriter.feed(b"ler('start')") == b""
    assert b'data-gw-purpose="analytics"' in rewriter.feed(b"</script><p>b</p>")
    assert rewriter.feed(b"<script></script>") == b""
    assert rewriter.feed(b"<p>much more text than an end tag has</p>").endswith(b"has</p>")
    rewriter.finish()
    rewriter.close()


def test_a_script_without_an_end_leaves_as_it_came() -> None:
    """Browsers never run it."""
    html = b"<p>x</p><script>" + CALL
    assert stream(html, gate(), 12).startswith(b"<p>x</p><script")


def test_scripts_in_frames_pages_are_known_too() -> None:
    """A signature inside of srcdoc is held there."""
    html = b'<iframe srcdoc="<script>teller(&quot;start&quot;)</script>"></iframe>'
    assert b"data-gw-purpose=&quot;analytics&quot;" in hold(html)
    assert hold(html, "analytics") == html


def test_observing_lists_scripts_and_changes_nothing() -> None:
    """Without enforcement the same scripts are listed, and every byte is as it was."""
    page = rewrite_page(PAGE, gate(), enforce=False)
    assert page.before + page.after == PAGE
    assert [one.detail for one in page.held] == ["script analytics", "script unknown", "script marketing"]
    assert {one.host for one in page.held} == {"inline"}


def test_signatures_count_in_the_scope_when_there_are_any() -> None:
    """Another signature asks anew for its purpose; a policy without keeps the hashes that it had."""
    plain = read_policy()
    assert plain.scopes == {"analytics": "e06a134ce232", "marketing": "e84c35399db2"}
    assert all(POLICY.scopes[purpose] != plain.scopes[purpose] for purpose in plain.scopes)
    assert POLICY.wording == plain.wording
