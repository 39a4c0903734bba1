"""Bad configuration never starts, and the error says file, key, value and what is wanted."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.config import Config, build_config, load_config, refresh_sites
from gateway.errors import ConfigError
from gateway.keys import new_key
from gateway.settings import Settings
from tests.example_site import POLICY_TOML, write_site

WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"nope": 1}, "nope", "is no setting"),
    ({"limits": {"body_byte": 1}}, "limits.body_byte", "is no setting"),
    ({"sites": [{"id": "a", "host": []}]}, "sites[0].host", "is no setting"),
    ({"mode": "off"}, "mode", "wanted enforce or observe"),
    ({"geo": {"database": "nowhere.mmdb"}}, "geo.database", "no such file"),
    ({"prefix": "_gw"}, "prefix", "matching regex"),
    ({"prefix": "/"}, "prefix", "matching regex"),
    ({"data": 5}, "data", "expected `str`"),
    ({"limits": {"body_bytes": 0}}, "limits.body_bytes", ">= 1"),
    ({"limits": {"body_bytes": "16"}}, "limits.body_bytes", "expected `int`"),
    ({"keeper": {"port": 70_000}}, "keeper.port", "<= 65535"),
    ({"keys": ["short"]}, "keys", "32 random bytes"),
    ({"keys": ["x" * 64]}, "keys", "32 random bytes"),
    ({"keys": ["change-me-change-me-0123456789-abcdef"]}, "keys", "32 random bytes"),
    ({"trusted_proxies": ["10.0.0.1/8"]}, "trusted_proxies", "10.0.0.0/8"),
    ({"trusted_proxies": ["proxy.example"]}, "trusted_proxies", "10.0.0.0/8"),
    ({"analytics": {"internal_networks": ["x"]}}, "analytics.internal_networks", "10.0.0.0/8"),
    ({"analytics": {"mask_patterns": ["KLANT-("]}}, "analytics.mask_patterns", "no regular expression"),
    ({"analytics": {"goals": [{"name": "a", "page": "/"}] * 2}}, "analytics.goals.name", "used twice"),
    ({"analytics": {"goals": [{"name": "a"}]}}, "analytics.goals", "exactly one of"),
    ({"analytics": {"goals": [{"name": "a", "page": "/", "seconds": 9}]}}, "analytics.goals", "exactly one of"),
    ({"analytics": {"goals": [{"name": "a", "page": "/", "props": {"b": "c"}}]}}, "analytics.goals", "exactly one of"),
    ({"proxy": {"upstream": "127.0.0.1:8080"}}, "proxy.upstream", "http://127.0.0.1:8080"),
    ({"proxy": {"upstream": "ftp://site.example"}}, "proxy.upstream", "http://127.0.0.1:8080"),
    ({"proxy": {"upstream": "http://[::1"}}, "proxy.upstream", "http://127.0.0.1:8080"),
    ({"proxy": {"upstream": "http://site.example:99999"}}, "proxy.upstream", "http://127.0.0.1:8080"),
    ({"sites": []}, "sites", "at least one"),
    ({"sites": [{"id": "a"}, {"id": "a"}]}, "sites.id", "used twice"),
    ({"sites": [{"id": "A"}]}, "sites[0].id", "matching regex"),
    ({"sites": [{"id": "main\n"}]}, "sites[0].id", "matching regex"),
    ({"sites": [{"hosts": ["Example.org"]}]}, "sites.hosts", "small letters"),
    ({"sites": [{"hosts": ["example.org:443"]}]}, "sites.hosts", "no port"),
    ({"sites": [{"hosts": ["a.example"]}, {"id": "b", "hosts": ["a.example"]}]}, "sites.hosts", "another site"),
    ({"sites": [{"timezone": "Europe/Atlantis"}]}, "sites.timezone", "Europe/Amsterdam"),
    ({"sites": [{"timezone": "../../etc/passwd"}]}, "sites.timezone", "Europe/Amsterdam"),
    ({"mode": "off"}, "mode", "wanted enforce or observe"),
    ({"sites": [{"consent_mode": "yes"}]}, "sites[0].consent_mode", "wanted auto or off or on"),
    (
        {"sites": [{}, {"id": "b", "shims": ["klaro", "x"]}]},
        "sites[1].shims[1]",
        "wanted cookiebot or klaro or vanilla",
    ),
    ({"sites": [{"signals": ["tracking"]}]}, "sites[0].signals[0]", "wanted dnt or gpc"),
    ({"sites": [{"guard": "yes"}]}, "sites[0].guard", "expected `bool`"),
    ({"sites": [{"cookie_domain": "example.org; Secure"}]}, "sites.cookie_domain", "example.org"),
]


@pytest.mark.parametrize(("settings", "key", "wanted"), WRONG)
def test_wrong_settings_are_named(settings: dict[str, Any], key: str, wanted: str, tmp_path: Path) -> None:
    """Every wrong setting is refused with the file, the key and what is wanted."""
    with pytest.raises(ConfigError) as caught:
        write_site(tmp_path, settings)
    assert (caught.value.file, caught.value.key) == ("gateway.toml", key)
    assert wanted in caught.value.wanted


def test_a_refused_key_is_not_shown(tmp_path: Path) -> None:
    """The error about a weak signing key does not repeat the key."""
    with pytest.raises(ConfigError) as caught:
        write_site(tmp_path, {"keys": ["hunter2hunter2"]})
    assert "hunter2" not in str(caught.value)


def test_every_new_key_is_accepted(tmp_path: Path) -> None:
    """Keys as `gateway keys new` prints them pass the check for weak ones."""
    assert write_site(tmp_path, {"keys": [new_key() for _ in range(2000)]}).settings.keys


POLICY_FAULTS = [
    ('version = "7"', 'version = ""', "version"),
    ('id = "analytics"', 'id = "unknown"', "purposes.id"),
    ('id = "marketing"', 'id = "analytics"', "purposes.id"),
    ('en = "Marketing"', 'fr = "Marketing"', "purposes.marketing.title"),
    ('purpose = "marketing"', 'purpose = "sales"', "services.video.purpose"),
    ('id = "counter"', 'id = "site"', "services.id"),
    ('name = "Teller"', 'name = "Teller"\ncolour = "red"', "services[1]"),
    ("[controller]", "[controller", "file"),
]


@pytest.mark.parametrize(("right", "wrong", "key"), POLICY_FAULTS)
def test_wrong_policies_are_named(right: str, wrong: str, key: str, tmp_path: Path) -> None:
    """A fault in the policy file is refused with that file's name and the key."""
    with pytest.raises(ConfigError) as caught:
        write_site(tmp_path, policy=POLICY_TOML.replace(right, wrong, 1))
    assert caught.value.file.endswith("policy.toml")
    assert caught.value.key == key


DESTINATION = """[[destinations]]
name = "crm"
kind = "webhook"
url = "https://crm.example.org/hook"
secret = "env:CRM"
purposes = ["marketing"]
"""
DESTINATION_FAULTS = [
    ('purposes = ["marketing"]', 'purposes = ["sales"]', "crm.purposes"),
    ('purposes = ["marketing"]', "purposes = []", "destinations[0].purposes"),
    ('name = "crm"', 'name = "Crm!"', "destinations[0].name"),
    ('name = "crm"', 'name = "crm"\nnever_forward = ["dossier/"]', "crm.never_forward"),
    ('name = "crm"', 'name = "crm"\nnever_forward = ["/a/*/dossier"]', "crm.never_forward"),
    ('secret = "env:CRM"', "", "crm.secret"),
    ('kind = "webhook"', 'kind = "webhook"\nretries = 5', "destinations[0].retries"),
    ("[[destinations]]", "[[destination]]", "destination"),
    (
        "[[destinations]]",
        '[[signals]]\nname = "a"\npurposes = ["marketing"]\ndays = 32\n[[destinations]]',
        "signals[0].days",
    ),
    (
        "[[destinations]]",
        '[[signals]]\nname = "a"\npurposes = ["marketing"]\nsite = "x"\n[[destinations]]',
        "signals.a.site",
    ),
]


@pytest.mark.parametrize(("right", "wrong", "key"), DESTINATION_FAULTS)
def test_wrong_destinations_are_named(right: str, wrong: str, key: str, tmp_path: Path) -> None:
    """A fault in the destinations file, such as a purpose that the policy does not have, is refused and named."""
    (tmp_path / "destinations.toml").write_text(DESTINATION.replace(right, wrong))
    with pytest.raises(ConfigError) as caught:
        write_site(tmp_path)
    assert caught.value.file.endswith("destinations.toml")
    assert caught.value.key == key


def test_destinations_of_one_name_are_refused(tmp_path: Path) -> None:
    """Two destinations cannot share a name: it stands in the outbox."""
    (tmp_path / "destinations.toml").write_text(DESTINATION * 2)
    with pytest.raises(ConfigError, match="used twice"):
        write_site(tmp_path)


@pytest.mark.parametrize(
    ("right", "wrong", "service"),
    [
        ("", "", ""),
        ("crm.example.org", "video.example.net", "video"),
        ("crm.example.org", "a.advert.example.net:8443", "video"),
        ("crm.example.org", "teller.example.net", ""),
        ('url = "https://crm.example.org', 'allow_private = true\nurl = "https://video.example.net', ""),
        ('kind = "webhook"', 'kind = "webhook"\nservice = "video"', "video"),
        ('kind = "webhook"', 'kind = "webhook"\noptions = { tracker = "video.example.net" }', "video"),
        ('kind = "webhook"', 'kind = "webhook"\nservice = "counter"', None),
        ('kind = "webhook"', 'kind = "webhook"\nservice = "nobody"', None),
        (
            'url = "https://crm.example.org',
            'options = { tracker = "video.example.net" }\nurl = "https://two.example.net',
            None,
        ),
    ],
)
def test_a_receiver_has_the_service_by_which_visitors_know_it(
    tmp_path: Path, right: str, wrong: str, service: str | None
) -> None:
    """As the table says, or by its host; a service of another purpose, or one of several, is refused."""
    second = '[[services]]\nid = "two"\npurpose = "marketing"\nname = "Twee"\nhosts = ["two.example.net"]\nrevoke = "stop()"\n'
    trackers = 'cookies = [{ name = "visitor_id*" }, { name = "pi_opt_in*" }, { name = "lpv*" }]\nrevoke = "stop()"'
    policy = POLICY_TOML.replace('cookies = [{ name = "_ads" }]', trackers) + second
    (tmp_path / "destinations.toml").write_text(DESTINATION.replace(right, wrong))
    if service is None:
        with pytest.raises(ConfigError) as caught:
            write_site(tmp_path, policy=policy)
        assert caught.value.key == "crm.service"
        return
    assert write_site(tmp_path, policy=policy).destinations[0].service == service


def test_a_policy_that_is_read_again_names_the_receiver_anew(tmp_path: Path) -> None:
    """A service that takes the host up later holds from then on, under whichever name; what a table says stays."""
    by_hand = DESTINATION.replace('"crm"', '"own"').replace('kind = "webhook"', 'kind = "webhook"\nservice = "video"')
    (tmp_path / "destinations.toml").write_text(DESTINATION + by_hand)
    config = write_site(tmp_path)
    seen = [tuple(one.service for one in config.destinations)]
    for name in ("first", "second"):
        later = f'[[services]]\nid = "{name}"\npurpose = "marketing"\nname = "Twee"\nhosts = ["crm.example.org"]\n'
        (tmp_path / "policy.toml").write_text(POLICY_TOML + later)
        config = refresh_sites(config)
        seen.append(tuple(one.service for one in config.destinations))
    assert seen == [("", "video"), ("first", "video"), ("second", "video")]


GOOGLE = DESTINATION.replace('"webhook"', '"ga4"').replace('"marketing"', '"analytics"')
TAGS = [
    'id = "google_analytics"',
    'id = "measuring"\nhosts = ["*.google-analytics.com"]',
    'id = "measuring"\nhosts = ["region1.google-analytics.com"]',
    'id = "measuring"\ncookies = [{ name = "_ga" }]',
]


@pytest.mark.parametrize("tag", TAGS)
def test_google_is_told_by_the_server_or_by_its_own_tag(tag: str, tmp_path: Path) -> None:
    """A policy with Google Analytics on the pages and a destination that tells it would count twice: it does not start."""
    (tmp_path / "destinations.toml").write_text(GOOGLE)
    service = f'[[services]]\npurpose = "analytics"\nname = "Google"\n{tag}\n'
    with pytest.raises(ConfigError, match="counts double") as caught:
        write_site(tmp_path, policy=POLICY_TOML + service)
    assert caught.value.key == "crm.kind"
    others = (
        '[[services]]\npurpose = "marketing"\nname = "Ads"\nid = "google_ads"\nhosts = ["www.googletagmanager.com"]\n'
    )
    assert write_site(tmp_path, policy=POLICY_TOML + others).destinations


@pytest.mark.parametrize("tag", ['id = "matomo"', 'id = "counting"\nhosts = ["crm.example.org"]'])
def test_matomo_is_told_by_the_server_or_by_its_own_script(tag: str, tmp_path: Path) -> None:
    """The same goes for Matomo, whose host is the firm's own."""
    (tmp_path / "destinations.toml").write_text(DESTINATION.replace('"webhook"', '"matomo"'))
    service = f'[[services]]\npurpose = "analytics"\nname = "Matomo"\n{tag}\n'
    with pytest.raises(ConfigError, match="counts double"):
        write_site(tmp_path, policy=POLICY_TOML + service)
    assert write_site(tmp_path).destinations


def test_ads_need_a_purpose_that_grants_them(tmp_path: Path) -> None:
    """`ads` with purposes whose signals do not include Google's for ads is refused; with them it starts."""
    wanted = GOOGLE + "[destinations.options]\nads = true\n"
    (tmp_path / "destinations.toml").write_text(wanted)
    with pytest.raises(ConfigError, match="ad_personalization and ad_user_data") as caught:
        write_site(tmp_path)
    assert caught.value.key == "crm.options.ads"
    (tmp_path / "destinations.toml").write_text(wanted.replace('"analytics"', '"analytics", "marketing"'))
    assert write_site(tmp_path).destinations[0].options == {"ads": True}


def test_the_whole_is_read_from_files_and_environment(tmp_path: Path) -> None:
    """Settings come from the file, and GATEWAY_* of the environment win: numbers, lists, switches and texts alike."""
    (tmp_path / "policy.toml").write_text(POLICY_TOML)
    (tmp_path / "destinations.toml").write_text(DESTINATION)
    (tmp_path / "gateway.toml").write_text('data = "kept"\nmode = "observe"\n[keeper]\nport = 9000\n')
    environment = {
        "GATEWAY_MODE": "enforce",
        "GATEWAY_TRUSTED_PROXIES": "10.0.0.0/8, 2001:db8::/32",
        "GATEWAY_KEEPER_AUTOSTART": "False",
        "GATEWAY_KEEPER_DRAIN_SECONDS": "0.25",
        "GATEWAY_DATABASE_URL": "postgresql://db.example/gateway",
        "GATEWAY_LIMITS_BODY_BYTES": "4096",
        "PATH": "/bin",
    }
    config = load_config(tmp_path, environment)
    settings = config.settings
    assert (settings.mode, settings.keeper.port, settings.keeper.autostart) == ("enforce", 9000, False)
    assert settings.trusted_proxies == ("10.0.0.0/8", "2001:db8::/32")
    assert (settings.keeper.drain_seconds, settings.limits.body_bytes) == (0.25, 4096)
    assert config.database_url == "postgresql://db.example/gateway"
    assert config.data_folder == (tmp_path / "kept").resolve()
    assert [destination.name for destination in config.destinations] == ["crm"]
    assert load_config(None, {"GATEWAY_CONFIG": str(tmp_path)}).settings.keeper.port == 9000


@pytest.mark.parametrize(
    ("name", "value"),
    [("GATEWAY_MOOD", "good"), ("GATEWAY_KEEPER_PORT", "eighty"), ("GATEWAY_KEEPER_AUTOSTART", "maybe")],
)
def test_a_wrong_environment_is_named(name: str, value: str, tmp_path: Path) -> None:
    """A variable that is no setting, or holds no value for one, is refused by its name."""
    with pytest.raises(ConfigError) as caught:
        load_config(write_file(tmp_path, ""), {name: value})
    assert (caught.value.file, caught.value.key) == ("environment", name)


@pytest.mark.parametrize("content", [b"mode = ", b"\xff\xfe", b"mode = 'enforce'\nmode = 'enforce'"])
def test_a_file_that_cannot_be_read_is_named(content: bytes, tmp_path: Path) -> None:
    """A file that is no TOML, or no UTF-8, is refused by its name."""
    file = tmp_path / "gateway.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(file, {})
    assert caught.value.file == str(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A configuration asked for by name has to be there."""
    for missing in (tmp_path / "other.toml", tmp_path):
        with pytest.raises(ConfigError, match=r"no such file; wanted gateway\.toml or its folder"):
            load_config(missing, {})


def test_a_file_of_another_kind_is_told_apart(tmp_path: Path) -> None:
    """A policy or a list of destinations in the place of gateway.toml is called by its name, and what is wanted said."""
    for text, kind in (
        ('version = "1"\n[controller]\n', "is a policy"),
        ("[[destinations]]\n", "is a list of destinations"),
    ):
        (tmp_path / "other.toml").write_text(text)
        with pytest.raises(ConfigError, match=rf"other\.toml: file: {kind}; wanted gateway\.toml or its folder"):
            load_config(tmp_path / "other.toml", {})


def test_the_defaults_are_whole(tmp_path: Path) -> None:
    """Without any file the shipped configuration is read, and everything has a value."""
    config = build_config({}, tmp_path)
    assert config.settings == Settings()
    assert [purpose.id for purpose in config.sites[0].policy.optional] == ["analytics", "marketing"]
    assert config.database_url == f"sqlite:///{tmp_path.resolve() / 'data' / 'gateway.db'}"


def test_a_site_is_found_by_its_host(tmp_path: Path) -> None:
    """A host belongs to the site that names it, else to the site that names none."""
    sites = [{"id": "shop", "hosts": ["shop.example"]}, {"id": "rest"}, {"id": "late"}]
    config = write_site(tmp_path, {"sites": sites})
    found = [config.find_site(host) for host in ("shop.example", "other.example", "")]
    assert [site.id for site in found if site] == ["shop", "rest", "rest"]
    alone = write_site(tmp_path, {"sites": sites[:1]})
    assert alone.find_site("other.example") is None


def test_a_list_of_referrer_spam_takes_the_package_s_place(tmp_path: Path) -> None:
    """Without a list of one's own the package's counts; hosts of gateway.toml come on top of either. Remarks, empty lines and
    whatever letters are read as such lists have them; an empty list leaves nothing out."""
    named = {"analytics": {"spam_referrers": ["Own.example"]}}

    def read() -> tuple[str, ...]:
        return write_site(tmp_path, named).spam_hosts

    assert read()[0] == "own.example" and len(read()) > 20
    own = tmp_path / "spam_referrers.txt"
    own.write_text("\ufeff# mine\nTraffic.example\r\n\n  bücher.example # a shop\ntraffic.example\n", "utf-8")
    assert read() == ("own.example", "traffic.example", "xn--bcher-kva.example")
    own.write_text("")
    assert read() == ("own.example",)


@pytest.mark.parametrize(
    "line", ["https://traffic.example/", "*.example", "com", "a b.example", "..", "x" * 64 + ".example"]
)
def test_a_list_of_referrer_spam_that_is_none_is_named(line: str, tmp_path: Path) -> None:
    """What is no host never starts, and stands in the error with its file and line; so in gateway.toml."""
    (tmp_path / "spam_referrers.txt").write_text(f"traffic.example\n{line}\n")
    with pytest.raises(ConfigError, match=r"spam_referrers\.txt.*line 2"):
        write_site(tmp_path)
    (tmp_path / "spam_referrers.txt").write_text("")
    with pytest.raises(ConfigError, match=r"analytics\.spam_referrers"):
        write_site(tmp_path, {"analytics": {"spam_referrers": [line]}})


def test_a_configuration_travels_as_json(tmp_path: Path) -> None:
    """A front worker can hand its whole configuration to the keeper that it starts."""
    config = write_site(tmp_path, {"sites": [{"id": "shop", "hosts": ["shop.example"]}]})
    assert msgspec.json.decode(msgspec.json.encode(config), type=Config) == config


def write_file(folder: Path, text: str) -> Path:
    (folder / "policy.toml").write_text(POLICY_TOML)
    file = folder / "gateway.toml"
    file.write_text(text)
    return file
