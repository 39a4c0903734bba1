"""Open the event store that the configuration names: a file in the data folder, or ClickHouse by its URL."""

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.store import Store
from gateway.config import Config
from gateway.errors import ConfigError
from gateway.secret_source import read_secret
from gateway.settings import StoreConfig

STORE_FILE = "events.duckdb"
BOOKS_FOLDER = "clickhouse"  # what is on its way to a server, and how far each journal is stored there
PORTS = {"clickhouse": 8123, "clickhouses": 8443}
NO_CLIENT = "needs ClickHouse's client: pip install 'consent-gateway[clickhouse]'"


def open_store(config: Config, *, at_once: bool = True, environment: Mapping[str, str] | None = None) -> Store:
    """The store; not `at_once`, its first use opens it. Raises ConfigError, StoreError."""
    if not config.settings.store.url:
        return DuckDBStore(config.data_folder / STORE_FILE, at_once=at_once)
    home = _load_client(config.settings.store.url)
    words = os.environ if environment is None else environment
    server = home.Server(**_place(config.settings.store, words, Path(config.folder)))
    opened: Store = home.ClickHouseStore(
        server, config.data_folder / BOOKS_FOLDER, config.settings.retention, at_once=at_once
    )
    return opened


def name_store(settings: StoreConfig) -> str:
    """Where events are, for people: without whoever signs in there."""
    parts = urlsplit(settings.url)
    return f"ClickHouse at {parts.hostname}" if settings.url else STORE_FILE


def _load_client(url: str) -> Any:
    """The one module that needs the extra [clickhouse], loaded only now."""
    try:
        return import_module("gateway.analytics.clickhouse_store")
    except ModuleNotFoundError as error:
        if error.name != "clickhouse_connect":
            raise
        raise ConfigError("gateway.toml", "store.url", url, NO_CLIENT) from error


def _place(settings: StoreConfig, environment: Mapping[str, str], folder: Path) -> dict[str, object]:
    parts = urlsplit(settings.url)  # checked when the configuration was read
    password = ""
    if settings.password:
        password = read_secret("gateway.toml", "store.password", settings.password, environment, folder)
    return {
        "host": parts.hostname,
        "port": parts.port or PORTS[parts.scheme],
        "secure": parts.scheme == "clickhouses",
        "database": parts.path.strip("/") or "default",
        "user": unquote(parts.username or "default"),
        "password": password,
        "cluster": settings.cluster,
    }
