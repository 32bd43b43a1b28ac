"""How the command line lists its commands and reads options that take several words."""

import click

SECTIONS = ("Train and compare", "Use a model", "Data", "Check")


class Command(click.Command):
    """A command with a section in the list of commands and an example below its options."""

    def __init__(self, *words, section, example, **options):
        super().__init__(*words, **options)
        self.section, self.example = section, example

    def parse_args(self, context, words):
        """Read `--formats a b` as `--formats a --formats b`, where the metavar ends in dots."""
        many = {p.opts[0] for p in self.params if (getattr(p, "metavar", "") or "")[-3:] == "..."}
        spread, taking = [], None
        for word, after in zip(words, [*words[1:], "-"], strict=False):
            if word in many:
                taking = word
                if after.startswith("-"):
                    told = f"Option {word!r} requires an argument."
                    raise click.BadOptionUsage(word, told, context)
            elif word.startswith("-"):
                taking = None
                spread.append(word)
            else:
                spread += [taking, word] if taking else [word]
        return super().parse_args(context, spread)

    def format_epilog(self, context, formatter):
        """Write the example."""
        with formatter.section("Example"):
            formatter.write_text(f"{context.command_path} {self.example}".rstrip())


class Commands(click.Group):
    """Commands, listed by section in the order in which they are written."""

    def format_commands(self, context, formatter):
        """Write one list of commands for each section."""
        for section in SECTIONS:
            listed = {k: v for k, v in self.commands.items() if v.section == section}
            with formatter.section(section):
                formatter.write_dl([(k, v.get_short_help_str(70)) for k, v in listed.items()])
