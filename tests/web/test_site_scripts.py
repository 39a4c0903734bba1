"""Scripts made for one site, and what the scripts weigh."""

import gzip
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Site
from gateway.errors import ConfigError
from gateway.resources import load_assets
from gateway.settings import SiteConfig
from gateway.web.site_scripts import build_head, build_leave, in_javascript
from tests.example_site import POLICY_TOML, read_policy
from tests.web.gated_site import visiting

ASSETS = load_assets()
LEAVING = """
[[services]]
id = "tool"
purpose = "marketing"
name = "Tool"
cookies = [{ name = "tool_*" }, { name = "__Host-gw_visit" }]
storage = ["tool.*"]
revoke = "tool('revoke', 'a/*b')"
"""


def packed(*names: str) -> int:
    """Bytes of scripts as they travel, each by itself."""
    return sum(len(gzip.compress(ASSETS[name].body, compresslevel=9, mtime=0)) for name in names)


def test_what_every_page_loads_is_small() -> None:
    """The script of the choice stays within 3 KB, with the one that counts within 5 KB; what few pages need stands in
    files of its own."""
    assert packed("consent.js") <= 3 * 1024
    assert packed("consent.js", "collect.js") <= 5 * 1024
    assert packed("gateway.js") <= 3.5 * 1024  # the same and what a static site needs besides
    assert packed("address.js") <= 320
    assert packed("leave.js") <= 700
    assert packed("guard.js", "consent_mode.js") <= 2624
    assert packed("vitals.js") <= 1024  # comes late
    assert packed("placeholder.js") <= 1424
    assert packed("placeholder_later.js") <= 2048  # the same and what a site with a guard needs besides
    for name in ("settings.js", "marks.js", "shim_cookiebot.js", "shim_vanilla_cookieconsent.js", "shim_klaro.js"):
        assert packed(name) <= 1024


def test_the_leaving_script_knows_the_sites_services() -> None:
    """Each optional service is there with what it keeps and the call that revokes; necessary ones and our own cookies are
    not. A site that keeps nothing needs no such script."""
    asset = build_leave(read_policy(POLICY_TOML + LEAVING), ASSETS)
    assert asset
    text = asset.body.decode()
    assert text.startswith("!function(gwLeave){") and asset.url_name.startswith("leave-")
    assert """{name:"tool",stored:["tool.*","tool_*"],revoke(){tool('revoke', 'a/*b')}}]);""" in text
    assert '{name:"counter",stored:["_tel","_tel_*"]}' in text
    assert "sessionid" not in text and "gw_visit" not in text
    bare = POLICY_TOML.replace('{ name = "_ads" }', "").replace('{ name = "_tel" }, { name = "_tel_*" }', "")
    assert build_leave(read_policy(bare), ASSETS) is None


def test_names_cannot_leave_their_place() -> None:
    """Whatever a policy writes as a name is a text in the script."""
    assert in_javascript(['a"]);alert(1)//', "</script>\u2028"]) == '["a\\"]);alert(1)//","</script>\\u2028"]'


def head_of(policy: str = POLICY_TOML, **site: Any) -> str:
    """The script at the start of a site's pages; empty for none."""
    asset = build_head(Site(SiteConfig(**site), read_policy(policy)), ASSETS)
    return asset.body.decode() if asset else ""


GOOGLE_SERVICE = '[[services]]\nid = "google_analytics"\npurpose = "analytics"\nname = "Google Analytics"\n'


def test_the_first_script_holds_what_the_site_asked_for() -> None:
    """Without settings there is none. The guard knows hosts and purposes; Consent Mode comes with Google's services of
    itself, and can be switched on and off."""
    assert head_of() == ""
    guard = head_of(guard=True, hosts=("a.example",))
    assert '"own":["a.example"],"hosts":{"cdn.example.org":"necessary site",' in guard
    assert '"suffixes":[[".advert.example.net","marketing video"]],' in guard
    assert '"paths":[]' in guard and "ad_user_data" not in guard
    served = 'hosts = ["teller.example.net"]\npaths = ["/a.b/*.js"]'
    assert r'"paths":[["^/a\\.b/.*\\.js$","analytics counter"]]' in head_of(
        POLICY_TOML.replace('hosts = ["teller.example.net"]', served), guard=True
    )
    signals = (
        '"signals":{"analytics":["analytics_storage"],"marketing":["ad_storage","ad_user_data","ad_personalization"]}'
    )
    assert signals in head_of(consent_mode="on")
    assert signals[:-1] + ',"google_analytics":["analytics_storage"]}' in head_of(POLICY_TOML + GOOGLE_SERVICE)
    assert head_of(POLICY_TOML + GOOGLE_SERVICE, consent_mode="off") == ""
    shim = head_of(shims=("klaro",))
    assert '"video":"marketing video"' in shim and '"services":["counter","video"]' in shim
    assert "window.klaro=" in shim and "window.Cookiebot=" not in shim and "setHTMLUnsafe" not in shim


def test_a_tracker_that_believes_addresses_brings_the_script_that_cleans_them() -> None:
    """By a host of Salesforce's, or the cookies that a tracker on the firm's own domain sets; alone, and before the guard."""
    by_cookie = '[[services]]\nid = "ae"\npurpose = "marketing"\nname = "AE"\ncookies = [{ name = "pi_opt_in*" }]\n'
    by_host = '[[services]]\nid = "ae"\npurpose = "marketing"\nname = "AE"\nhosts = ["pi.pardot.com"]\n'
    for service in (by_cookie, by_host):
        alone = head_of(POLICY_TOML + service)
        assert "replaceState" in alone and '({"granted":' in alone
        guarded = head_of(POLICY_TOML + service, guard=True)
        assert 0 < guarded.index("replaceState") < guarded.index("setHTMLUnsafe")


def test_a_policy_says_which_signals_a_purpose_grants() -> None:
    """What stands at the purpose wins over what is usual for its id; a signal that Google does not have is refused."""
    named = POLICY_TOML.replace('id = "marketing"', 'id = "marketing"\nconsent_mode = ["ad_storage"]')
    assert '"marketing":["ad_storage"]' in head_of(named, consent_mode="on")
    assert read_policy(named).scopes == read_policy().scopes
    assert read_policy(named).wording == read_policy().wording
    with pytest.raises(ConfigError, match="ad_storag'"):
        read_policy(named.replace('"ad_storage"', '"ad_storag"'))


def test_the_first_script_comes_under_its_own_and_a_lasting_name(tmp_path: Path) -> None:
    """A page names it first, with what is granted; a static site embeds it under a name that does not change, and is told
    the same. A site that needs none has none."""
    with visiting(tmp_path, settings={"sites": [{"id": "main", "guard": True}]}) as browser:
        assert browser.get("/_gw/head.js").text.startswith('document.currentScript.dataset.gwGranted="";')
        browser.choose("accept_all")
        page = browser.get("/").text
        found = re.search(
            r'<head><script src="(/_gw/assets/head-\w+\.js)" data-gw-granted="analytics,marketing">', page
        )
        assert found
        static = browser.get(found[1])
        assert "immutable" in static.headers["cache-control"]
        lasting = browser.get("/_gw/head.js")
        assert lasting.text == 'document.currentScript.dataset.gwGranted="analytics,marketing";' + static.text
        assert lasting.headers["cache-control"] == "no-store"
    with visiting(tmp_path / "other") as browser:
        assert browser.get("/_gw/head.js").status_code == 404
        assert "gw-granted" not in browser.get("/").text


def test_each_site_has_scripts_of_its_own(tmp_path: Path) -> None:
    """Of two sites behind one gate each gets what its own settings and policy say; the names differ with the content."""
    other = POLICY_TOML.replace("video.example.net", "film.example.net").replace('"_ads"', '"_film"')
    (tmp_path / "other.toml").write_text(other, "utf-8")
    sites = [
        {"id": "a", "hosts": ["www.example.org"], "guard": True},
        {"id": "b", "hosts": ["shop.example.org"], "policy": "other.toml", "guard": True, "shims": ["klaro"]},
        {"id": "c", "hosts": ["plain.example.org"]},
    ]
    with visiting(tmp_path, settings={"sites": sites}) as browser:
        heads = [
            browser.get("/_gw/head.js", headers={"host": f"{name}.example.org"}) for name in ("www", "shop", "plain")
        ]
        states = [browser.get("/_gw/state", headers={"host": f"{name}.example.org"}) for name in ("www", "shop")]
        leaves = [browser.get(state.json()["leave_url"]).text for state in states]
    assert [head.status_code for head in heads] == [200, 200, 404]
    assert ["film.example.net" in head.text for head in heads[:2]] == [False, True]
    assert ["window.klaro" in head.text for head in heads[:2]] == [False, True]
    assert [('"_ads"' in leave, '"_film"' in leave) for leave in leaves] == [(True, False), (False, True)]
