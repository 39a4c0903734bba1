"""Both databases have the schema that the code works with, and migrate once however many open them."""

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, event, func, select, text

from gateway.console_tables import MAIL_RECIPIENTS, NOTES, SAVED
from gateway.database import METADATA, PEOPLE, SALTS, open_database, reading, transaction
from gateway.imported_tables import IMPORTED_DAYS, IMPORTS
from gateway.migrations.upgrade import upgrade


def test_migrations_give_the_schema_of_the_code(engine: Engine) -> None:
    """After all migrations, tables, columns and indexes are those of `METADATA`, on both databases."""
    with reading(engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
    assert {table.name for table in (NOTES, SAVED, MAIL_RECIPIENTS, IMPORTS, IMPORTED_DAYS)} <= set(METADATA.tables)


@pytest.mark.slow
def test_a_new_file_is_for_its_owner_alone_and_synced(tmp_path: Path) -> None:
    """The SQLite file has mode 0600, a write-ahead log, and full synchronisation."""
    engine = open_database(f"sqlite:///{tmp_path / 'deep' / 'gateway.db'}")
    with reading(engine) as connection:
        pragmas = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
    engine.dispose()
    assert pragmas == ["wal", 2]
    assert (tmp_path / "deep" / "gateway.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_an_interrupted_migration_leaves_nothing_half_done(tmp_path: Path) -> None:
    """F15: stopped before any of its statements, a migration has changed nothing, and the next start completes it."""
    statements = ["ALTER TABLE outbox ADD COLUMN kind", "ALTER TABLE outbox_totals", "UPDATE alembic_version"]
    for number, fatal in enumerate(statements):
        url = f"sqlite:///{tmp_path / f'{number}.db'}"
        upgrade(url, "0003")

        def stop(_connection: object, _cursor: object, statement: str, *_: object, fatal: str = fatal) -> None:
            if statement.startswith(fatal):
                raise KeyboardInterrupt

        event.listen(Engine, "before_cursor_execute", stop)
        try:
            with pytest.raises(KeyboardInterrupt):
                upgrade(url, "0004")
        finally:
            event.remove(Engine, "before_cursor_execute", stop)
        engine = open_database(url)
        with reading(engine) as connection:
            assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
        engine.dispose()


def test_who_was_known_before_a_table_was_made_anew_still_is(tmp_path: Path) -> None:
    """The table of addresses gets another key, interrupted or not, and keeps its rows."""
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    upgrade(url, "0014")
    row = {"consent_id": "c1", "site": "main", "email": "a.jansen@example.org", "at": 5.0}
    before = create_engine(url)
    with before.begin() as connection:
        connection.execute(text("INSERT INTO people VALUES (:consent_id, :site, :email, :at)"), row)
    before.dispose()

    def stop(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "DROP TABLE people" in statement:
            raise KeyboardInterrupt

    event.listen(Engine, "before_cursor_execute", stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            upgrade(url)
    finally:
        event.remove(Engine, "before_cursor_execute", stop)
    engine = open_database(url)
    with reading(engine) as connection:
        assert [dict(one) for one in connection.execute(select(PEOPLE)).mappings()] == [row]
    engine.dispose()


@pytest.mark.slow
def test_many_open_one_file_at_once(tmp_path: Path) -> None:
    """Workers that open a new database at the same moment all find it migrated."""
    url, engines, barrier = f"sqlite:///{tmp_path / 'gateway.db'}", list[Engine](), threading.Barrier(6)

    def open_one() -> None:
        barrier.wait()
        engines.append(open_database(url))

    threads = [threading.Thread(target=open_one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for engine in engines:
        with reading(engine) as connection:
            assert connection.execute(select(func.count()).select_from(SALTS)).scalar() == 0
        engine.dispose()
    assert len(engines) == 6


def test_a_transaction_that_raises_leaves_nothing(engine: Engine) -> None:
    """What is written before an error inside `transaction` is not there after it."""
    try:
        with transaction(engine) as connection:
            connection.execute(SALTS.insert().values(site="main", day="2026-01-01", salt=b"x"))
            raise KeyError
    except KeyError:
        pass
    with reading(engine) as connection:
        assert connection.execute(select(func.count()).select_from(SALTS)).scalar() == 0
