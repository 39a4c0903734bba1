"""A text that stands in for one that its page's language lacks: it knows in which language it is, so that the page says so."""

from typing import Any


class ForeignText(str):
    """Text in another language than the page's; what it is filled with does not change that."""

    language: str

    def __new__(cls, text: str, language: str) -> "ForeignText":
        made = super().__new__(cls, text)
        made.language = language
        return made

    def format(self, *values: object, **named: object) -> "ForeignText":
        """The same with its places filled in."""
        return ForeignText(super().format(*values, **named), self.language)


def in_language(text: Any, language: str) -> Any:
    """A text, or a list of them, marked."""
    if isinstance(text, str):
        return ForeignText(text, language)
    return [ForeignText(one, language) for one in text]
