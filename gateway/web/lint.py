"""A configuration held against the regulators' rules: what it says, and with `render` the banner that it makes."""

import logging
from collections.abc import Iterator
from functools import lru_cache

from gateway.config import Config
from gateway.consent.audit_knowledge import load_knowledge
from gateway.consent.banner import offered_languages
from gateway.consent.catalogue import Catalogue, load_catalogue
from gateway.consent.layer_rules import judge_layers
from gateway.consent.policy_rules import judge_configuration
from gateway.consent.rule_findings import RuleFinding, apply_accepted, find
from gateway.consent.wording import find_drafts, has_own_words, load_wording
from gateway.resources import config_file, load_assets
from gateway.web.measured_before import read_measured
from gateway.web.pages import Pages
from gateway.web.snippet import Snippets

log = logging.getLogger("gateway.rules")
GATEWAY = "gateway.toml"


def lint(config: Config, *, render: bool, measured: tuple[RuleFinding, ...] | None = None) -> tuple[RuleFinding, ...]:
    """Every finding, the gravest first, with the reasons for those that the configuration accepts. Without `render` this
    takes milliseconds, but where the operator has words of their own, which the banner is made for; an acceptance that fits
    nothing is only said when everything was looked at. `measured` is what a browser found just now; None: what one found
    of this very configuration before, if one did."""
    accepted, drafts = config.settings.accepted_findings, find_drafts(config)
    if measured is None:
        measured = read_measured(config)

    @lru_cache(maxsize=1)
    def catalogue() -> Catalogue:
        return load_catalogue(config_file("catalogue"))

    found = list(judge_configuration(config, load_wording(config), catalogue))
    found += [
        find("draft", site, GATEWAY, "signed_off", f"nobody has read the draft in {one!r}") for site, one in drafts
    ]
    found += measured or ()
    if render or has_own_words(config):
        found += _judge_rendered(config)
        looked = measured is not None and all(one.check != "not_measured" for one in measured)
        return apply_accepted(found, accepted, measured=looked)
    return tuple(one for one in apply_accepted(found, accepted) if one.check != "unused")


def log_findings(config: Config) -> None:
    """A line for each error that the configuration does not accept: an application that serves nonetheless says so."""
    for one in lint(config, render=False):
        if one.stops:
            log.error("%s", one.say())


def warn_of_errors(config: Config) -> None:
    """One line for all errors that the configuration does not accept, in the log of the application that serves nonetheless."""
    if stopping := [one for one in lint(config, render=False) if one.stops]:
        named = ", ".join(dict.fromkeys(f"{one.rule} at {one.where}" for one in stopping))
        log.warning(
            "the configuration breaks rules of the regulators (%s); gateway check --config %s says what is wanted",
            named,
            config.folder,
        )


def _judge_rendered(config: Config) -> Iterator[RuleFinding]:
    """Both layers in each language that is offered."""
    snippets = Snippets(config, Pages(), load_assets())
    words = load_knowledge(config_file("audit.toml")).words
    for site in config.sites:
        for language in offered_languages(site.policy, snippets.texts):
            yield from judge_layers(site, language, snippets.render_layers(site, language), words)
