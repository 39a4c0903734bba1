"""How long a cookie that was seen lasts, in words for people."""

from gateway.consent.catalogue import DAYS, DUTCH


def say_days(days: float, language: str) -> str:
    """A lifetime in the largest unit that fits: "sessie", "30 minuten", "2 jaar"."""
    word = "session"
    if days > 0:
        unit = (
            "year" if days >= 364 else next((u for u in ("day", "hour", "minute") if days >= DAYS[u] * 0.99), "second")
        )
        number = max(1, round(days / DAYS[unit]))
        word = f"{number} {unit}{'' if number == 1 else 's'}"
    return " ".join(DUTCH.get(part, part) if language == "nl" else part for part in word.split())
