"""The catalogue knows what it says it knows, names nothing wrongly, and its faults are told to whoever wrote them."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.consent.banner import pick
from gateway.consent.catalogue import CatalogueService, StoredItem, load_catalogue
from gateway.errors import ConfigError
from gateway.policy import NECESSARY, parse_policy

SHIPPED = Path(__file__).resolve().parents[2] / "config/catalogue"
CATALOGUE = load_catalogue(SHIPPED)

PLATFORMS = """
    wordpress woocommerce drupal typo3 joomla magento shopify aspnet django laravel rails php java express next nuxt
    salesforce_experience_cloud sitecore umbraco cloudflare aws_load_balancer azure f5_big_ip haproxy nginx_sticky
    akamai_bot_manager
"""


# ---------------------------------------------------------------------------------------------------- what is shipped


def test_the_shipped_catalogue_is_as_large_as_promised() -> None:
    """At least 60 services, and every promised platform with something that it stores."""
    assert len(CATALOGUE.services) >= 60
    assert [name for name in PLATFORMS.split() if name not in CATALOGUE.platforms] == []
    assert [platform.id for platform in CATALOGUE.platforms.values() if not platform.stored] == []


@pytest.mark.parametrize("service", CATALOGUE.services.values(), ids=lambda service: service.id)
def test_each_service_says_who_it_is(service: CatalogueService) -> None:
    """Texts in both languages, a way to know it, and a provider with a country unless all stays on the site itself."""
    assert service.description["nl"] != service.description["en"]
    assert service.hosts or service.files or service.signatures
    assert bool(service.provider) == bool(service.country)
    assert service.purpose in (NECESSARY, "functional", "analytics", "marketing")


def test_what_could_be_had_without_asking_comes_with_advice() -> None:
    """Fonts, and libraries that a site could serve itself: an operator is told how to spare visitors the question."""
    libraries = {"jsdelivr", "cdnjs", "unpkg", "jquery_cdn", "google_hosted_libraries"}
    advised = [s for s in CATALOGUE.services.values() if s.kind == "fonts" or s.id in libraries]
    assert [service.id for service in advised if not service.note] == []


# ---------------------------------------------------------------------------------------------------- well-known things

URLS = [
    ("www.googletagmanager.com", "/gtm.js?id=GTM-ABC123", "google_tag_manager"),
    ("www.googletagmanager.com", "/ns.html?id=GTM-ABC123", "google_tag_manager"),
    ("www.googletagmanager.com", "/gtag/js?id=G-ABC123", "google_analytics"),
    ("www.googletagmanager.com", "/gtag/js?id=AW-123", "google_ads"),
    ("www.googletagmanager.com", "/gtag/js?id=DC-123", "google_floodlight"),
    ("www.googletagmanager.com", "/gtag/js?id=UA-1-1", "google_universal_analytics"),
    ("www.googletagmanager.com", "/gtag/js?id=GT-ABC", "google_tag"),
    ("www.googletagmanager.com", "", "google_tag"),
    ("www.google-analytics.com", "/g/collect?v=2", "google_analytics"),
    ("region1.google-analytics.com", "/g/collect", "google_analytics"),
    ("www.google-analytics.com", "/analytics.js", "google_universal_analytics"),
    ("stats.g.doubleclick.net", "/g/collect", "google_analytics"),
    ("123.fls.doubleclick.net", "/activityi;src=1", "google_floodlight"),
    ("googleads.g.doubleclick.net", "/pagead/viewthroughconversion/1/", "google_ads"),
    ("www.google.com", "/recaptcha/api.js", "recaptcha"),
    ("www.gstatic.com", "/recaptcha/releases/x/recaptcha__nl.js", "recaptcha"),
    ("www.google.com", "/maps/embed?pb=1", "google_maps"),
    ("www.google.com", "/pagead/1p-user-list/1/", "google_ads"),
    ("www.google.com", "/search", None),
    ("docs.google.com", "/forms/d/e/x/viewform", "google_forms"),
    ("docs.google.com", "/document/d/x", None),
    ("connect.facebook.net", "/en_US/fbevents.js", "meta_pixel"),
    ("connect.facebook.net", "/signals/config/1", "meta_pixel"),
    ("connect.facebook.net", "/nl_NL/sdk.js", "facebook_social"),
    ("www.facebook.com", "/tr?id=1&ev=PageView", "meta_pixel"),
    ("www.facebook.com", "/plugins/page.php", "facebook_social"),
    ("px.ads.linkedin.com", "/collect", "linkedin_insight"),
    ("www.linkedin.com", "/embed/feed/update/1", "linkedin_plugins"),
    ("pi.pardot.com", "/pd.js", "pardot"),
    ("go.pardot.com", "/l/12345/2024-01-01/abc", "pardot_forms"),
    ("go.pardot.com", "/pdt.js", "pardot"),
    ("go.voorbeeld.example", "/pdt.js?v=1", "pardot"),
    ("go.voorbeeld.example", "/js/pdt.js", None),
    ("statistiek.voorbeeld.example", "/matomo/matomo.js", "matomo"),
    ("voorbeeld.matomo.cloud", "/matomo.php", "matomo"),
    ("js-eu1.hs-scripts.com", "/1.js", "hubspot"),
    ("js.hsforms.net", "/forms/embed/v2.js", "hubspot_forms"),
    ("STATIC.Hotjar.com.", "/c/hotjar-1.js", "hotjar"),
    ("www.clarity.ms", "/tag/abc", "microsoft_clarity"),
    ("bat.bing.com", "/bat.js", "microsoft_advertising"),
    ("www.youtube.com", "/embed/x", "youtube"),
    ("www.youtube-nocookie.com", "/embed/x", "youtube_nocookie"),
    ("player.vimeo.com", "/video/1", "vimeo"),
    ("fonts.gstatic.com", "/s/x.woff2", "google_fonts"),
    ("challenges.cloudflare.com", "/turnstile/v0/api.js", "turnstile"),
    ("s.pinimg.com", "/ct/core.js", "pinterest_tag"),
    ("company.tt.omtrdc.net", "/rest/v1/delivery", "adobe_target"),
    ("company.sc.omtrdc.net", "/b/ss/x", "adobe_analytics"),
    ("consent.cookiebot.com", "/uc.js", "cookiebot"),
    ("hotjar.com", "/", None),
    ("clarity.ms.evil.example", "/", None),
    ("", "", None),
]


@pytest.mark.parametrize(("host", "path", "service"), URLS)
def test_addresses_are_known(host: str, path: str, service: str | None) -> None:
    """The most exact host and the longest path mark say whose an address is; what nobody claims is nobody's."""
    found = CATALOGUE.find_by_url(host, path)
    assert (found.id if found else None) == service


COOKIES = [
    ("_ga", "google_analytics"),
    ("_ga_ABC123", "google_analytics"),
    ("_gat", "google_universal_analytics"),
    ("_gat_gtag_UA_1_1", "google_universal_analytics"),
    ("_gaexp", "google_optimize"),
    ("_gac_UA-1-1", "google_ads"),
    ("_gcl_au", "google_ads"),
    ("IDE", "google_floodlight"),
    ("visitor_id519011", "pardot"),
    ("visitor_id519011-hash", "pardot"),
    ("pi_opt_in519011", "pardot"),
    ("lpv519011", "pardot"),
    ("hubspotutk", "hubspot"),
    ("_pk_id.1.1fff", "matomo"),
    ("_hjSessionUser_123", "hotjar"),
    ("_hjSomethingNew", "hotjar"),
    ("_clck", "microsoft_clarity"),
    ("MUID", "microsoft_advertising"),
    ("_fbp", "meta_pixel"),
    ("_uetvid", "microsoft_advertising"),
    ("li_fat_id", "linkedin_insight"),
    ("_ttp", "tiktok_pixel"),
    ("VISITOR_INFO1_LIVE", "youtube"),
    ("_vwo_uuid_v2", "vwo"),
    ("AMCV_ABC%40AdobeOrg", "adobe_analytics"),
    ("OptanonConsent", "onetrust"),
    ("CookieConsent", "cookiebot"),
    ("ai_user", "application_insights"),
    ("SC_ANALYTICS_GLOBAL_COOKIE", "sitecore_analytics"),
    ("sbjs_first", "woocommerce_attribution"),
    ("_GA", None),
    ("_", None),
    ("", None),
    ("PHPSESSID", None),
    ("my_ga", None),
]


@pytest.mark.parametrize(("name", "service"), COOKIES)
def test_cookies_are_known(name: str, service: str | None) -> None:
    """The most exact name or beginning says whose a cookie is; a platform's cookie is no service's."""
    found = CATALOGUE.find_by_cookie(name)
    assert (found.id if found else None) == service


SCRIPTS = [
    ("window.dataLayer = []; function gtag(){dataLayer.push(arguments);} gtag('js', new Date());", {"google_tag"}),
    ('function  gtag(){} gtag("config" , "G-ABC123");', {"google_tag", "google_analytics"}),
    ("gtag( 'config', 'AW-1' );", {"google_tag", "google_ads"}),
    ("(function(w,d,s,l,i){w[l].push({'gtm.start': 1})})(window)", {"google_tag_manager"}),
    ("i['GoogleAnalyticsObject']=r; ga('create', 'UA-1-1')", {"google_universal_analytics"}),
    ("var _paq = window._paq || []; _paq.push(['trackPageView']);", {"matomo"}),
    ("!function(f,b,e){if(f.fbq)return;}(window); fbq('init', '1');", {"meta_pixel"}),
    ("piAId = '1001'; piCId = '1002'; piHostname = 'pi.pardot.com';", {"pardot"}),
    ("pdt('create', 1, 2, 'go.voorbeeld.example');", {"pardot"}),
    ("var _hsq = window._hsq || []; _hsq.push(['setPath', '/'])", {"hubspot"}),
    ("hbspt.forms.create({ portalId: '1' })", {"hubspot_forms"}),
    ("h._hjSettings={hjid:1,hjsv:6};", {"hotjar"}),
    ('(function(c,l,a,r,i,t,y){})(window, document, "clarity", "script", "x");', {"microsoft_clarity"}),
    ("_linkedin_partner_id = '1';", {"linkedin_insight"}),
    ("ttq.load('X'); ttq.page();", {"tiktok_pixel"}),
    ("window.intercomSettings = {}; Intercom('boot')", {"intercom"}),
    ("var Tawk_API = Tawk_API || {};", {"tawk_to"}),
    ("new google.maps.Map(document.body)", {"google_maps"}),
    ("var player = new YT.Player('x')", {"youtube"}),
    ("embeddedservice_bootstrap.init('x')", {"salesforce_chat"}),
    ("const stripe = Stripe('pk_live_1')", {"stripe"}),
    ("", set()),
    ("document.querySelector('#fbq').hidden = true", set()),
    ("myfbq('init'); $gtag('x'); notStripe('y')", set()),
    ("let total = 1 + 1;", set()),
]


@pytest.mark.parametrize(("script", "services"), SCRIPTS)
def test_inline_scripts_are_known(script: str, services: set[str]) -> None:
    """A script belongs to every service whose signature it holds, whatever its spaces and quotes; never by half a word."""
    assert {service.id for service in CATALOGUE.find_by_inline(script)} == services


def test_the_longest_signature_comes_first() -> None:
    """A script for Google Ads is Google Ads before it is Google's tag at large."""
    assert [service.id for service in CATALOGUE.find_by_inline("gtag('config','AW-1')")] == ["google_ads", "google_tag"]


STORED = [("yt-remote-device-id", "local_storage", "youtube"), ("rc::c", "session_storage", "recaptcha")]


@pytest.mark.parametrize(("name", "kind", "service"), STORED)
def test_storage_keys_are_known(name: str, kind: Any, service: str) -> None:
    """Keys of local and session storage are looked up by themselves: a cookie of that name is something else."""
    claim = CATALOGUE.find_stored(name, kind)
    assert claim is not None
    assert claim.owner.id == service
    assert CATALOGUE.find_stored(name) is None


# ---------------------------------------------------------------------------------------------------- platforms

NEEDED = [
    ("PHPSESSID", "php"),
    ("wordpress_logged_in_0123", "wordpress"),
    ("wp_woocommerce_session_0123", "woocommerce"),
    ("SSESS0123", "drupal"),
    ("fe_typo_user", "typo3"),
    (".AspNetCore.Antiforgery.x", "aspnet"),
    ("ASP.NET_SessionId", "aspnet"),
    ("__RequestVerificationToken_L2", "aspnet"),
    ("ARRAffinitySameSite", "azure"),
    ("csrftoken", "django"),
    ("XSRF-TOKEN", "laravel"),
    ("JSESSIONID", "java"),
    ("connect.sid", "express"),
    ("cart_currency", "shopify"),
    ("__cf_bm", "cloudflare"),
    ("cf_clearance", "cloudflare"),
    ("AWSALBCORS", "aws_load_balancer"),
    ("BIGipServerpool_80", "f5_big_ip"),
    ("_abck", "akamai_bot_manager"),
    ("UMB-XSRF-TOKEN", "umbraco"),
    ("_ga", None),
    ("_shopify_y", None),
    ("something", None),
]


@pytest.mark.parametrize(("name", "platform"), NEEDED)
def test_necessary_cookies_are_known(name: str, platform: str | None) -> None:
    """Log-in, basket, form token and load balancer are a platform's; a service's cookie is not."""
    claim = CATALOGUE.necessary_cookie(name)
    assert (claim.owner.id if claim else None) == platform


def test_no_service_that_is_asked_for_claims_a_necessary_cookie() -> None:
    """No cookie of any platform, whatever follows its beginning, is taken for one that needs consent."""
    names = [item.name.replace("*", end) for item in _platform_cookies() for end in ("", "1", "abc_9")]
    claimed = {name: found.id for name in names if (found := CATALOGUE.find_by_cookie(name))}
    assert claimed == {}


def _platform_cookies() -> list[StoredItem]:
    return [item for platform in CATALOGUE.platforms.values() for item in platform.stored if item.kind == "cookie"]


SIGNS: list[tuple[dict[str, Any], list[str]]] = [
    ({"html": '<meta name="generator" content="WordPress 6.8">'}, ["php", "wordpress"]),
    ({"html": "<link href='/wp-content/plugins/woocommerce/x.css'>"}, ["php", "wordpress", "woocommerce"]),
    ({"html": "<META content='Drupal 11' name=generator>"}, ["php", "drupal"]),
    ({"html": "<p>generator: WordPress and Drupal</p>"}, []),
    ({"headers": [("X-Powered-By", "ASP.NET"), ("Server", "Microsoft-IIS/10.0")]}, ["aspnet"]),
    ({"headers": [("CF-RAY", "1-AMS"), ("Server", "cloudflare")]}, ["cloudflare"]),
    ({"headers": [("Server", "nginx")]}, []),
    ({"cookies": ["UMB_UCONTEXT"]}, ["aspnet", "umbraco"]),
    ({"cookies": ["csrftoken", "AWSALB"]}, ["django", "aws_load_balancer"]),
    ({"html": "<script id='__NEXT_DATA__'>"}, ["next"]),
    ({}, []),
]


@pytest.mark.parametrize(("seen", "platforms"), SIGNS)
def test_platforms_are_recognised_by_their_signs(seen: dict[str, Any], platforms: list[str]) -> None:
    """Cookies, headers, generator or marks in the page: one sign is enough, and what it is built on comes with it."""
    assert [platform.id for platform in CATALOGUE.detect_platforms(**seen)] == platforms


# ---------------------------------------------------------------------------------------------------- into a policy


@pytest.mark.parametrize("language", ["nl", "en"])
def test_everything_can_stand_in_a_policy(language: str) -> None:
    """Every service and platform, written as a policy's service, is one that a policy accepts."""
    services = [service.as_service(language=language) for service in CATALOGUE.services.values()]
    services += [platform.as_service(language) for platform in CATALOGUE.platforms.values()]
    titles = {"nl": "Doel", "en": "Purpose"}
    raw = {
        "version": "1",
        "controller": {"name": "Voorbeeld"},
        "purposes": [{"id": name, "title": titles} for name in ("functional", "analytics", "marketing")],
        "services": msgspec.to_builtins(services),
    }
    policy = parse_policy(raw)
    assert policy.purpose_of_cookie("_ga_X") == "analytics"
    assert policy.purpose_of_cookie(".AspNetCore.Session") == NECESSARY


def test_a_service_takes_the_purpose_and_language_of_its_policy() -> None:
    """An operator's purpose goes before the usual one; lifetimes read as the visitor does, other words are there in
    each language."""
    service = CATALOGUE.services["google_analytics"]
    written = service.as_service("statistics", "nl")
    assert (service.as_service().purpose, written.purpose) == ("analytics", "statistics")
    assert (written.cookies[0].name, written.cookies[0].lifetime) == ("_ga", "2 jaar")
    assert pick(written.retention, "nl").startswith("2 of 14 maanden")
    assert pick(written.retention, "en").startswith("2 or 14 months")
    assert pick(CATALOGUE.services["complianz"].as_service().provider, "nl") == "Deze site"


def test_a_name_that_is_cookie_and_key_is_written_once() -> None:
    """A policy lists a name once, wherever in the browser it is kept."""
    names = [cookie.name for cookie in CATALOGUE.services["mixpanel"].as_service().cookies]
    assert len(names) == len(set(names))


def test_shared_hosts_are_told() -> None:
    """Hosts that serve several things are listed, so that a drafted policy can choose."""
    assert {"google_maps", "recaptcha"} <= set(CATALOGUE.shared_hosts()["www.google.com"])
    assert "static.hotjar.com" not in CATALOGUE.shared_hosts()


LIFETIMES = [
    ("2 years", 730, "2 jaar", "2 years"),
    ("1 month", 30, "1 maand", "1 month"),
    ("30 minutes", 30 / 1440, "30 minuten", "30 minutes"),
    ("session", 0, "sessie", "session"),
    ("until deleted", None, "tot gewist", "until deleted"),
    ("", None, "", ""),
]


@pytest.mark.parametrize(("lifetime", "days", "dutch", "english"), LIFETIMES)
def test_lifetimes_have_days_and_words(lifetime: str, days: float | None, dutch: str, english: str) -> None:
    """A lifetime is written once, and read as days, in Dutch and in English."""
    item = StoredItem("x", {"nl": "x", "en": "x"}, lifetime)
    assert item.days == (None if days is None else pytest.approx(days))
    assert (item.say_lifetime("nl"), item.say_lifetime("en"), item.say_lifetime("de")) == (dutch, english, english)


# ---------------------------------------------------------------------------------------------------- faults

ONE = """
[[services]]
id = "one"
kind = "analytics"
purpose = "analytics"
name = "One"
provider = "One B.V."
country = "NL"
description = { nl = "Een", en = "One" }
hosts = ["one.example", "*.shared.example"]
files = ["one.js"]
stored = [{ name = "_one*", lifetime = "1 day", description = { nl = "Een", en = "One" } }]
"""
TWO = ONE.replace("one", "two").replace("*.shared", "two.shared")
PLATFORM = """
[[platforms]]
id = "base"
name = "Base"
description = { nl = "Basis", en = "Base" }
signs.cookies = ["base*"]
stored = [{ name = "base_id", description = { nl = "Basis", en = "Base" } }]
"""

# (file, what stands there, what is put instead, key, what is wanted)
FAULTS = [
    ("services/a.toml", 'kind = "analytics"', 'kind = "magic"', "services.one.kind", "must be one of advertising"),
    ("services/a.toml", 'name = "One"', 'naam = "One"', "services.one.naam", "unknown field"),
    ("services/a.toml", 'name = "One"', "", "services.one.name", "missing required field"),
    ("services/a.toml", 'files = ["one.js"]', 'fils = ["one.js"]', "services.one.fils", "unknown field"),
    ("services/a.toml", '"one.example"', '"https://one.example/"', "services.one.hosts.0", "must be a host"),
    ("services/a.toml", '"one.example"', '"*.nl"', "services.one.hosts.0", "must be a host"),
    ("services/a.toml", '"_one*"', '"_*one"', "services.one.stored.0.name", "at its end only"),
    ("services/a.toml", '"1 day"', '"a day"', "services.one.stored.0.lifetime", '"30 minutes"'),
    ("services/a.toml", '"NL"', '"Nederland"', "services.one.country", "two capitals"),
    ("services/a.toml", 'id = "one"', 'id = "One!"', "services.One!.id", "a-z, 0-9"),
    ("services/a.toml", '{ nl = "Een", en = "One" }\nhosts', '{ nl = "Een" }\nhosts', "services.one", "nl and en"),
    ("services/a.toml", 'provider = "One B.V."', "", "services.one", "needs provider"),
    ("services/a.toml", "files =", 'paths = { "x.example" = ["/a"] }\nfiles =', "services.one", "not among the hosts"),
    ("services/a.toml", "[[services]]", "[[service]]", "service", "wanted: [[services]]"),
    ("services/a.toml", "[[services]]", "[services]", "services", "wanted: [[services]]"),
    ("services/a.toml", "[[services]]", "[[services]", "file", "cannot be read as TOML"),
    ("services/b.toml", 'id = "two"', 'id = "one"', "services.one.id", "used twice"),
    ("services/b.toml", '"two.example"', '"one.example"', "services.two.hosts", "marks in `paths`"),
    ("services/b.toml", '"_two*"', '"_one*"', "services.two.stored", "claimed by 'one' too"),
    ("services/b.toml", '"two.js"', '"one.js"', "services.two.files", "claimed by 'one' too"),
    (
        "services/b.toml",
        "stored = [",
        'stored = [{ name = "_two*", description = { nl = "Een", en = "One" } }, ',
        "services.two.stored",
        "claimed by 'two' too",
    ),
    ("platforms.toml", '"base_id"', '"_one*"', "platforms.base.stored", "claimed by 'one' too"),
    ("platforms.toml", 'id = "base"', 'id = "one"', "platforms.one.id", "used twice"),
    ("platforms.toml", "signs.", 'includes = ["nothing"]\nsigns.', "platforms.base.includes", "is no platform"),
    (
        "platforms.toml",
        "signs.",
        'named = [{ like = "(", description = { nl = "Een", en = "One" } }]\nsigns.',
        "platforms.base.named.0",
        "no regular expression",
    ),
    ("platforms.toml", "signs.cookies", "signs.cooky", "platforms.base.signs.cooky", "unknown field"),
]


def write(folder: Path, file: str = "", old: str = "", new: str = "") -> Path:
    """A small catalogue that has no fault, but for what is put into one of its files."""
    for name, text in (("services/a.toml", ONE), ("services/b.toml", TWO), ("platforms.toml", PLATFORM)):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        assert name != file or old in text
        path.write_text(text.replace(old, new, 1) if name == file else text)
    return folder


NAMED = [
    ("laravel", "voorbeeld_incasso_session", "voorbeeld_incasso_sessions"),
    ("laravel", "voorbeeld-session", "session"),
    ("rails", "_voorbeeld_session", "voorbeeld_session"),
    ("f5_big_ip", "TSe4d0fb2b027", "TSLA"),
    ("f5_big_ip", "TS6b5d0c_28", "TSe4d0fb_x"),
    ("joomla", "0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdeg"),
    ("craft", "0123456789abcdef0123456789abcdef_identity", "0123456789abcdef_identity"),
]


@pytest.mark.parametrize(("platform", "own", "other"), NAMED)
def test_what_a_site_names_itself_is_known_by_its_likeness(platform: str, own: str, other: str) -> None:
    """A session named after the application or the installation is the platform's; a name that is only similar is not."""
    found = CATALOGUE.platforms[platform].find_named(own)
    assert (found and found.name, CATALOGUE.platforms[platform].find_named(other)) == (own, None)


@pytest.mark.parametrize(("file", "old", "new", "key", "wanted"), FAULTS)
def test_faults_are_told(tmp_path: Path, file: str, old: str, new: str, key: str, wanted: str) -> None:
    """A fault or contradiction stops the start and names the file, the key and what is wanted."""
    with pytest.raises(ConfigError) as caught:
        load_catalogue(write(tmp_path, file, old, new))
    assert Path(caught.value.file).name == Path(file).name
    assert caught.value.key == key
    assert wanted in caught.value.wanted


def test_the_value_that_is_wrong_is_shown(tmp_path: Path) -> None:
    """An operator reads what stands there beside what should."""
    with pytest.raises(ConfigError) as caught:
        load_catalogue(write(tmp_path, "services/a.toml", '"1 day"', '"a day"'))
    assert caught.value.value == "a day"


def test_an_empty_folder_is_a_fault(tmp_path: Path) -> None:
    """A folder without a catalogue is a mistake in the path, not a catalogue of nothing."""
    with pytest.raises(ConfigError, match=r"holds neither services/\*\.toml nor platforms\.toml"):
        load_catalogue(tmp_path)


def test_an_operator_adds_a_folder(tmp_path: Path) -> None:
    """An operator's own services and platforms stand beside the shipped ones."""
    catalogue = load_catalogue(SHIPPED, write(tmp_path))
    found = catalogue.find_by_url("a.shared.example")
    assert found is not None
    assert found.id == "one"
    assert [platform.id for platform in catalogue.detect_platforms(cookies=["base_id"])] == ["base"]


def test_path_marks_part_a_host(tmp_path: Path) -> None:
    """Two services share a host when marks tell them apart; the one without marks gets the rest."""
    marked = 'paths = { "one.example" = ["/two/"] }\nhosts = ["one.example", "two.example"'
    write(tmp_path, "services/b.toml", 'hosts = ["two.example"', marked)
    catalogue = load_catalogue(tmp_path)
    found = [catalogue.find_by_url("one.example", path) for path in ("/two/x", "/other", "")]
    assert [service.id for service in found if service] == ["two", "one", "one"]


def test_the_longest_beginning_wins(tmp_path: Path) -> None:
    """Of two beginnings that fit a name, the more exact one says whose it is; the whole name goes before both."""
    write(tmp_path, "services/b.toml", '"_two*"', '"_one_two*"')
    catalogue = load_catalogue(tmp_path)
    found = [catalogue.find_by_cookie(name) for name in ("_one_three", "_one_two", "_one_two_3")]
    assert [service.id for service in found if service] == ["one", "two", "two"]


# ---------------------------------------------------------------------------------------------------- any text


@given(st.text(), st.text())
def test_no_text_makes_a_look_up_fail(one: str, other: str) -> None:
    """Whatever a page or a visitor sends: a look-up answers and never raises."""
    CATALOGUE.find_by_url(one, other)
    CATALOGUE.find_by_cookie(one)
    CATALOGUE.necessary_cookie(one)
    CATALOGUE.find_stored(one, "local_storage")
    CATALOGUE.find_by_inline(one + other)
    CATALOGUE.detect_platforms([one], [(one, other)], other)


HOSTS = sorted({host.removeprefix("*.") for service in CATALOGUE.services.values() for host in service.hosts})
LABEL = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)


@given(LABEL, st.sampled_from(HOSTS), LABEL)
def test_a_host_that_only_looks_like_a_known_one_is_unknown(before: str, host: str, after: str) -> None:
    """Letters before a name, without a dot, make another name; so does anything after it."""
    assert CATALOGUE.find_by_url(f"{host}.{after}.example") is None
    glued = CATALOGUE.find_by_url(before + host)
    known = {service.id: service.hosts for service in CATALOGUE.services.values()}
    whole = {before + host, *_above(before + host)}
    assert glued is None or whole & set(known[glued.id])


def _above(host: str) -> list[str]:
    labels = host.split(".")
    return ["*." + ".".join(labels[at:]) for at in range(1, len(labels))]


@pytest.mark.parametrize(
    "host", ["evilgoogle-analytics.com", "www.evilgoogle-analytics.com", "xhotjar.com", "nothotjar.io"]
)
def test_a_look_alike_is_unknown(host: str) -> None:
    """The names that an attacker would register."""
    assert CATALOGUE.find_by_url(host, "/x") is None


@pytest.mark.parametrize("text", ["a." * 100_000, "<meta " * 20_000, " " * 200_000, "gtag" * 50_000, "xfbq(" * 20_000])
def test_giant_texts_are_looked_up_too(text: str) -> None:
    """Hundreds of thousands of letters are read in a moment, and found to be nobody's."""
    assert CATALOGUE.find_by_url(text) is None
    assert CATALOGUE.find_by_cookie(text) is None
    assert CATALOGUE.find_by_inline(text) == ()
    assert CATALOGUE.detect_platforms(cookies=[text], html=text) == ()
