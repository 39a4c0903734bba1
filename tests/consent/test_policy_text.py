"""What is written of a policy is read back as the same."""

import tomllib

import msgspec
import pytest

from gateway.consent.catalogue import load_catalogue
from gateway.consent.policy_text import write_service
from gateway.policy import Service
from gateway.resources import config_file

SERVICES = [service.as_service(language="nl") for service in load_catalogue(config_file("catalogue")).services.values()]


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.id)
def test_a_service_is_read_back_as_it_was_written(service: Service) -> None:
    """Hosts, cookies, storage keys, the revoking call and how it is released: nothing is lost in a draft."""
    (read,) = tomllib.loads("\n".join(write_service(service)))["services"]
    assert msgspec.convert(read, Service) == service


def test_drafts_carry_what_withdrawal_needs() -> None:
    """The catalogue knows storage keys and calls of many services, and tag managers are let go with any purpose."""
    by_id = {service.id: service for service in SERVICES}
    assert by_id["pardot"].revoke == "pdt('revokeConsent')"
    assert by_id["google_tag_manager"].release == "any"
    assert sum(bool(service.storage) for service in SERVICES) > 20
