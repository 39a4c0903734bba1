"""The event store that a configuration names: a file, or a server whose password stands elsewhere."""

import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.analytics.clickhouse_store import ClickHouseStore
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.config import Config, build_config
from gateway.errors import ConfigError, StoreError
from gateway.flows.open_store import name_store, open_store
from tests.example_site import write_site
from tests.ports import free_port

URL = "clickhouses://gate%40way@clickhouse.example.org/stats"


def configured(folder: Path, **store: Any) -> Config:
    """A site with this [store]."""
    return write_site(folder, {"store": store})


def test_without_a_url_events_are_in_the_data_folder(tmp_path: Path) -> None:
    """A file, and nothing of a server."""
    config = configured(tmp_path)
    with closing(open_store(config)) as store:
        assert isinstance(store, DuckDBStore)
    assert (config.data_folder / "events.duckdb").exists()


def test_a_url_says_where_the_server_is(tmp_path: Path) -> None:
    """Host, port by scheme, database, user, cluster; the password from a file, relative to the configuration."""
    (tmp_path / "secret.txt").write_text("geheim\n")
    config = configured(tmp_path, url=URL, password="file:secret.txt", cluster="alle")
    with closing(open_store(config, at_once=False)) as store:
        assert isinstance(store, ClickHouseStore)
        place = ("clickhouse.example.org", 8443, True, "stats", "gate@way", "geheim", "alle")
        assert tuple(store._server) == place
    assert name_store(config.settings.store) == "ClickHouse at clickhouse.example.org"
    assert "geheim" not in repr(config)


def test_a_server_that_is_not_there_is_said(tmp_path: Path) -> None:
    """At once, where it is asked for."""
    url = f"clickhouse://127.0.0.1:{free_port()}"
    with pytest.raises(StoreError, match="cannot answer"):
        open_store(configured(tmp_path, url=url))


def test_without_the_client_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install, instead of a traceback."""
    monkeypatch.delitem(sys.modules, "gateway.analytics.clickhouse_store")
    monkeypatch.setitem(sys.modules, "clickhouse_connect", None)
    with pytest.raises(ConfigError, match=r"consent-gateway\[clickhouse\]"):
        open_store(configured(tmp_path, url=URL))


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ({"url": "postgresql://host/db"}, "wanted a URL such as clickhouse://"),
        ({"url": "clickhouse://"}, "wanted a URL"),
        ({"url": "clickhouse://host:port/db"}, "wanted a URL"),
        ({"url": "clickhouse://host/db?secure=1"}, "wanted a URL"),
        ({"url": "clickhouse://host/a/b"}, "wanted a URL"),
        ({"url": "clickhouse://user:geheim@host/db"}, "holds a password; wanted store.password"),
        ({"url": "clickhouse://user:geheim@host:port/db"}, "wanted a URL"),
        ({"password": "env:X"}, "belongs to a server"),
        ({"cluster": "alle"}, "belongs to a server"),
        ({"url": URL, "cluster": "a`b"}, "store.cluster"),
    ],
)
def test_a_store_that_cannot_be_is_refused(tmp_path: Path, store: dict[str, str], said: str) -> None:
    """With the key and what is wanted; whatever may be a password is not shown."""
    with pytest.raises(ConfigError, match=said) as caught:
        build_config({"store": store}, tmp_path)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("password", ["geheim", "env:NOBODY_SET_THIS", "file:nowhere.txt"])
def test_a_password_that_is_not_where_it_should_be(tmp_path: Path, password: str) -> None:
    """Said by its key; a password that stands there itself is not shown."""
    with pytest.raises(ConfigError, match=r"store\.password") as caught:
        open_store(configured(tmp_path, url=URL, password=password))
    assert "geheim" not in str(caught.value)
