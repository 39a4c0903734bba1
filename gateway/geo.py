"""IP address to country. The only user of maxminddb; a missing or broken database means "unknown"."""

import logging
from functools import lru_cache
from pathlib import Path

import maxminddb

log = logging.getLogger("gateway.geo")
UNKNOWN_COUNTRY = ""


class Countries:
    """Looks up two-letter country codes. Never raises: what cannot be known is the empty string."""

    def __init__(self, path: Path | None) -> None:
        self._reader = _open(path)
        self._warned = self._reader is None
        self.find = lru_cache(maxsize=8192)(self._find)

    def _find(self, ip: str) -> str:
        """Country of an address in full; the answer is remembered per process, in memory only."""
        if self._reader is None:
            return UNKNOWN_COUNTRY
        try:
            return _code(self._reader.get(ip))
        except (ValueError, TypeError):  # no address
            return UNKNOWN_COUNTRY
        except (maxminddb.InvalidDatabaseError, OSError):
            self._warn()
            return UNKNOWN_COUNTRY

    def _warn(self) -> None:
        """Once, and without the error's text, which names the visitor's address."""
        if not self._warned:
            self._warned = True
            log.warning("country database is damaged, countries stay unknown")


def _open(path: Path | None) -> maxminddb.Reader | None:
    if path is None:
        return None
    try:
        return maxminddb.open_database(path, maxminddb.MODE_AUTO)
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
        log.warning("country database cannot be opened, countries stay unknown: %s", error)
        return None


def _code(record: object) -> str:
    """The code in either layout: {"country": {"iso_code": "NL"}} or {"country_code": "NL"}."""
    if not isinstance(record, dict):
        return UNKNOWN_COUNTRY
    country = record.get("country")
    code = country.get("iso_code") if isinstance(country, dict) else record.get("country_code", country)
    return code if isinstance(code, str) and len(code) == 2 else UNKNOWN_COUNTRY
