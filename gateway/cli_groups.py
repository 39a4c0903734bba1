"""Groups of commands: `gateway policy ...`, `gateway ledger ...` and the others, `gateway` itself among them."""

from typing import Any

import typer
from typer.core import TyperGroup

from gateway.errors import ConfigError


class CommandGroup(TyperGroup):
    """Tells who puts a command's option before the command where it belongs."""

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
