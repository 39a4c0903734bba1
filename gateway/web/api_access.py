"""Who may use an interface for programs: `Authorization: Bearer` with a key in force, of the scope, within its rate."""

from sqlalchemy import Engine

from gateway.api_keys import ApiKey, find_key
from gateway.errors import BadRequest

BEARER = "bearer "


def find_token(authorization: str) -> str:
    """What an Authorization header shows as a key; empty when it shows none."""
    return authorization[len(BEARER) :].strip() if authorization[: len(BEARER)].lower() == BEARER else ""


class ApiAccess:
    """Admits holders of keys of one scope. Rates are counted in memory, by each process for itself. Blocks: it reads the
    database."""

    def __init__(self, engine: Engine, scope: str) -> None:
        self._engine, self._scope = engine, scope
        self._minute, self._counts = 0, dict[str, int]()

    def admit(self, authorization: str, now: float) -> ApiKey:
        """The key in an Authorization header. Raises BadRequest 401, 403 or 429."""
        return self.admit_token(find_token(authorization), now)

    def admit_token(self, token: str, now: float) -> ApiKey:
        """The key itself. Raises as above."""
        key = find_key(self._engine, token, now)
        if key is None:
            raise BadRequest(401, "no_key", "wanted `Authorization: Bearer` with a key in force (gateway key add)")
        if self._scope not in key.scopes:
            raise BadRequest(403, "scope", f"the key has no scope {self._scope!r}")
        if not self._counted(key, now):
            raise BadRequest(429, "too_many", f"the key is for {key.per_minute} requests a minute")
        return key

    def _counted(self, key: ApiKey, now: float) -> bool:
        minute = int(now // 60)
        if minute != self._minute:
            self._minute, self._counts = minute, {}
        self._counts[key.id] = self._counts.get(key.id, 0) + 1
        return self._counts[key.id] <= key.per_minute
