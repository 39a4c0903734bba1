"""Scripts made for one site, and what the scripts weigh."""

import gzip

from gateway.resources import load_assets
from gateway.web.site_scripts import build_leave, in_javascript
from tests.example_site import POLICY_TOML, read_policy

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
    assert packed("leave.js") <= 700


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
