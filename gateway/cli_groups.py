"""Groups of commands: `gateway policy ...`, `gateway ledger ...` and the others, `gateway` itself among them."""

import re
from typing import Any

import typer
from rich.markup import escape
from typer.core import TyperGroup

from gateway.errors import ConfigError

# The panels of `gateway --help`, from first to last.
BEGIN, RUN, RULES, FIGURES, TOLD, PROOF, KEPT, ACCESS = PANELS = (
    "Begin",
    "Run",
    "Policy and rules",
    "Figures",
    "Destinations",
    "Proof of consent",
    "What is kept",
    "Operators and keys",
)
WITHIN_PARAGRAPH = re.compile(r"(?<!\n)\n(?!\n)")


class CommandGroup(TyperGroup):
    """Shows commands panel by panel, and tells who puts a command's option before the command where it belongs."""

    def __init__(self, **settings: Any) -> None:
        """Help is shown as it was written: its lines as long as the terminal is wide, a word in brackets as that word."""
        super().__init__(**settings)
        for one in (self, *self.commands.values()):
            if one.help and (one is self or not isinstance(one, CommandGroup)):
                one.help = escape(WITHIN_PARAGRAPH.sub(" ", one.help))

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Names of the commands, in the order of their panels; within a panel, as they were added."""
        panels = {name: getattr(command, "rich_help_panel", None) for name, command in self.commands.items()}
        return sorted(panels, key=lambda name: PANELS.index(panels[name]) if panels[name] in PANELS else 0)

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """The arguments behind the group's own options. Raises ConfigError for an option that is none of them."""
        own = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        first = args[0].partition("=")[0] if args else ""
        if first.startswith("-") and first not in own:
            names = self.list_commands(ctx)
            wanted = f"is no option here; options stand behind a command: `{ctx.command_path} {names[0]} {first} ...`"
            raise ConfigError("command line", first, None, f"{wanted}; commands: {', '.join(names)}")
        return super().parse_args(ctx, args)


def command_group(help_text: str | None = None, **settings: Any) -> typer.Typer:
    """A group that shows its help when no command is given."""
    return typer.Typer(cls=CommandGroup, help=help_text, no_args_is_help=True, **settings)
