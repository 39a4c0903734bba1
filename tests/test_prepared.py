"""Statements run by the driver itself give what the toolkit gives, on each kind of database."""

from sqlalchemy import Engine, bindparam, select, update

from gateway.database import CONSENTS, transaction
from gateway.prepared import Among, Prepared
from tests.destinations.rows import grant

K = CONSENTS.c
FIND = Prepared(select(K.consent_id, K.revision).where(Among(K.consent_id, "ids"), K.revision < bindparam("below")))
CHANGE = Prepared(update(CONSENTS).where(Among(K.consent_id, "ids")).values(revision=7, grants=bindparam("to")))


def test_a_list_is_one_parameter(engine: Engine) -> None:
    """None, one or many, with letters of every kind; beside other parameters and constants."""
    odd = "c'\"\\%s?:é"
    for name in ("c1", "c2", odd):
        grant(engine, name)
    with transaction(engine) as connection:
        assert FIND.find(connection, {"ids": [], "below": 5}) == []
        assert FIND.find(connection, {"ids": ["c2", "gone"], "below": 5}) == [("c2", 1)]
        assert sorted(FIND.find(connection, {"ids": ["c1", odd], "below": 5})) == sorted([("c1", 1), (odd, 1)])
        assert CHANGE.change(connection, {"ids": ["c1", odd], "to": "{}"}) == 2
        assert sorted(FIND.find(connection, {"ids": ["c1", "c2", odd], "below": 5})) == [("c2", 1)]


def test_a_list_is_looked_up_by_its_index(engine: Engine) -> None:
    """No table is read whole for a few rows: the outbox may hold a million."""
    if engine.dialect.name != "sqlite":
        return
    with transaction(engine) as connection:
        text = str(select(K.revision).where(Among(K.consent_id, "ids")).compile(dialect=connection.dialect))
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", ("[]",)).all()
    assert any("SEARCH consents USING" in str(step) for step in plan)
