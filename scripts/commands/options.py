"""Options: generated from the class of a command's configuration, or shared by several commands."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import typer
from typer.core import TyperCommand, TyperOption

from constitution.problems import InputError, Problem
from scripts.commands.permission_options import permission_parameters

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from constitution.typed_yaml import Override, Settings

__all__ = [
    "ChatTemplate",
    "CommandLine",
    "Overwrite",
    "PlanOnly",
    "RetryFailed",
    "Update",
    "configured",
]

FILES = "Input and output"
Command = TypeVar("Command", bound=Callable[..., Any])
Location = tuple[str | int, ...]

_NAMES = {
    "constitution": ("--constitution", "-c"),
    "prompts.file": ("--prompts", "-p"),
    "out": ("--out", "-o"),
    "workers.gpus": ("--gpus-per-worker",),
    "workers.most": ("--workers",),
}
"""Options that are not named after their key, in every command."""
_OVERRIDES, _FILE = "solon.overrides", "solon.config"


def _option(text: str, *names: str, panel: str = FILES, **rules: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **rules)


Update = Annotated[
    bool,
    _option(
        "After an edit: redo what it touches, and keep the old records in previous/.",
        "--update",
    ),
]
Overwrite = Annotated[bool, _option("Discard the records of another run in --out.", "--overwrite")]
RetryFailed = Annotated[bool, _option("Try again what failed for good.", "--retry-failed")]
PlanOnly = Annotated[bool, _option("Print calls, tokens and time to expect, and stop.", "--plan")]
ChatTemplate = Annotated[
    Path | None, _option("A Jinja file, for models without a chat template.", panel="Models")
]
_ConfigFile = Annotated[
    Path | None,
    _option(
        "A YAML file with the settings; options outweigh it, and --no-X turns a switch off.",
        "--config",
        metavar="FILE",
    ),
]


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One setting of a configuration, and the option that gives it."""

    location: Location
    field: "FieldInfo"
    default: Any
    panel: str
    names: tuple[str, ...]

    @property
    def parameter_name(self) -> str:
        """Of the function that typer reads."""
        return "__".join(map(str, self.location))

    @property
    def parameter(self) -> inspect.Parameter:
        """As the parameter of a function that typer reads."""
        kind = _type_of(self.field.annotation)
        bounds = {
            rule: float(value) if kind is float else value
            for rule, name in (("min", "ge"), ("max", "le"))
            for part in self.field.metadata
            if (value := getattr(part, name, None)) is not None
        }
        extra = self.field.json_schema_extra
        metavar = extra.get("metavar") if isinstance(extra, dict) else None
        told = self.field.description or ""
        option = _option(told, *self.names, panel=self.panel, metavar=metavar, **bounds)
        optional = kind if self.default is not None else kind | None
        return inspect.Parameter(
            self.parameter_name,
            inspect.Parameter.KEYWORD_ONLY,
            default=self.default,
            annotation=Annotated[optional, option],
        )


@dataclass(frozen=True)
class Generated:
    """The options of the configuration that `kind` gives, which is only asked for when needed."""

    kind: "Callable[[], type[Settings]]"
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def leaves(self) -> dict[str, _Leaf]:
        """Parameter to setting."""
        found = {leaf.parameter_name: leaf for leaf in self._leaves(self.kind(), None, ())}
        panels = list(dict.fromkeys([FILES, *(leaf.panel for leaf in found.values())]))
        return dict(sorted(found.items(), key=lambda item: panels.index(item[1].panel)))

    @cached_property
    def options(self) -> dict[Location, str]:
        """Key to the name of its option."""
        return {leaf.location: leaf.names[0].split("/")[0] for leaf in self.leaves.values()}

    @cached_property
    def parameters(self) -> list[TyperOption]:
        """The options as typer makes them."""

        def probe() -> None:
            """Never called: typer reads its signature."""

        file = inspect.Parameter(
            "config_file", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_ConfigFile
        )
        made: Any = probe
        made.__signature__ = inspect.Signature([
            file,
            *(leaf.parameter for leaf in self.leaves.values()),
            *permission_parameters(self.kind()),
        ])
        app = typer.Typer(add_completion=False)
        app.command()(made)
        options = [p for p in typer.main.get_command(app).params if isinstance(p, TyperOption)]
        for option in options:
            leaf = self.leaves.get(option.name or "")
            option.required = leaf is not None and leaf.default is None and leaf.field.is_required()
        return options

    @cached_property
    def required(self) -> list[TyperOption]:
        """Those that the command line must give, or a file."""
        return [option for option in self.parameters if option.required]

    def _leaves(
        self, kind: "type[Settings]", section: "FieldInfo | None", at: Location
    ) -> Iterator[_Leaf]:
        from pydantic_core import PydanticUndefined

        from constitution.typed_yaml import section_of

        for name, known in kind.model_fields.items():
            location = (*at, name)
            if inner := section_of(known):
                yield from self._leaves(inner, known, location)
                continue
            default = getattr(section.default, name, None) if section else None
            default = known.get_default() if default is None else default
            default = None if default is PydanticUndefined or default in ([], ()) else default
            panel = known.title or (section.title if section else None) or FILES
            yield _Leaf(location, known, default, panel, self._names(location, known))

    def _names(self, location: Location, known: "FieldInfo") -> tuple[str, ...]:
        path, word = ".".join(map(str, location)), str(location[-1]).replace("_", "-")
        flag = (f"--{word}/--no-{word}",) if known.annotation is bool else (f"--{word}",)
        return {**_NAMES, **self.names}.get(path, flag)


def _type_of(annotation: Any) -> Any:
    """What the command line reads: a number, a choice, a switch, text, or several texts."""
    options = [annotation]
    if get_origin(annotation) in (Union, UnionType):
        options = [option for option in get_args(annotation) if option is not type(None)]
    (first, *others) = options
    if not others and (first in (bool, int, float) or get_origin(first) is Literal):
        return first
    return list[str] if get_origin(first) in (list, dict) else str


def configured(
    config: str, names: Mapping[str, tuple[str, ...]] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of a configuration, and its first parameter the configuration.

    `config` is MODULE:CLASS, imported when it is needed; `names` are the names of options that are
    not called as their key is.
    """
    module, _, name = config.partition(":")

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        generated = Generated(lambda: getattr(import_module(module), name), names or {})

        @functools.wraps(function)
        def command(ctx: typer.Context, **own: Any) -> None:
            from constitution.typed_yaml import load_config

            file, overrides = ctx.meta[_FILE], ctx.meta[_OVERRIDES]
            function(load_config(generated.kind(), file, overrides, generated.options), **own)

        _, *own = inspect.signature(function).parameters.values()
        context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        taken = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (context, *own)]
        seen: Any = command
        seen.__signature__ = inspect.Signature(taken)
        seen.__annotations__ = {p.name: p.annotation for p in taken}
        seen.generated = generated
        return command

    return decorate


class CommandLine(typer.Typer):
    """Commands that refuse what they would otherwise half read, and have generated options."""

    def command(self, name: str | None = None, **rules: Any) -> Callable[[Command], Command]:
        """As typer's."""
        return super().command(name, cls=_Command, **rules)


class _Command(TyperCommand):
    """A command whose generated options are made when they are first needed: what they are made
    from takes a while to import."""

    @property
    def _generated(self) -> Generated | None:
        return getattr(self.callback, "generated", None)

    def get_params(self, ctx: Any) -> list[Any]:
        """The generated options, and then its own."""
        made = self._generated.parameters if self._generated else []
        return [*made, *super().get_params(ctx)]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """With those marked that the command line or a file must give, and without the --no-X of
        switches that are off."""
        leaves = self._generated.leaves if self._generated else {}
        switches = [p for p in self.get_params(ctx) if p.name in leaves and p.default is False]
        negative = [switch.secondary_opts for switch in switches]
        for switch in switches:
            switch.secondary_opts = []
        self._require(True)
        super().format_help(ctx, formatter)
        for switch, names in zip(switches, negative, strict=True):
            switch.secondary_opts = names

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Raise InputError for an option that has one value and is given several times."""
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        _refuse_repeated(order)
        self._require(False)  # a file may give them
        rest = super().parse_args(ctx, args)
        self._require(True)
        if self._generated:
            ctx.meta[_FILE] = ctx.params.pop("config_file")
            for parameter in permission_parameters(self._generated.kind()):
                del ctx.params[parameter.name]  # its callback has allowed it
            ctx.meta[_OVERRIDES] = list(_overrides(ctx, self._generated))
        return rest

    def _require(self, required: bool) -> None:
        for option in self._generated.required if self._generated else ():
            option.required = required


def _refuse_repeated(order: Sequence[Any]) -> None:
    """A switch that only says yes can be said twice without contradicting itself."""
    problems = [
        Problem(p.opts[0], "is given several times", "it has one value: keep one of them")
        for p in dict.fromkeys(order)
        if order.count(p) > 1 and isinstance(p, TyperOption) and not p.multiple
        if not p.is_flag or p.secondary_opts
    ]
    if problems:
        raise InputError(problems)


def _overrides(ctx: Any, generated: Generated) -> "Iterator[Override]":
    from constitution.typed_yaml import Override

    for name, leaf in generated.leaves.items():
        value, source = ctx.params.pop(name), ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            yield Override(leaf.location, value, generated.options[leaf.location])
