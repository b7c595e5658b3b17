"""Spec strings: `embedded`, `vllm:NAME_OR_PATH`, `server:MODEL@URL[,URL]`, `transformers:...`,
`scripted[:FILE]`; options follow as `?key=value&key=value`. With `method=debate` a model that judges
lets both sides be argued first."""

import difflib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import parse_qsl, quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from constitution.problems import InputError, Problem
from constitution.reading import NotJson, parse_json, without_surrogates
from engine.generators.base import Generator
from engine.generators.model_files import located_model
from engine.generators.servers.endpoint import without_password

__all__ = [
    "SpecParts",
    "kind_of",
    "open_generator",
    "read_spec",
    "require_template_use",
    "runs_here",
    "with_options",
]

_KINDS = ("embedded", "vllm", "server", "transformers", "scripted")
_Count = Annotated[int, Field(ge=1)]
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Field = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]
"""What a server calls a field."""


class _Options(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _ServerOptions(_Options):
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 120.0
    retries: Annotated[int, Field(ge=0)] = 8
    backoff: _Seconds = 0.5
    concurrency: _Count = 256
    key_env: Annotated[str, Field(min_length=1)] | None = None
    headers: dict[str, str] | None = None
    api_version: Annotated[str, Field(min_length=1)] | None = None
    omit: str = ""
    extra_body: dict[str, Any] = {}
    seed_bits: Annotated[int, Field(ge=8, le=32)] = 32
    system: Literal["first", "fold"] = "first"
    samples: _Count = 16
    thinking: bool | _Count | Literal["on", "off"] | None = None
    reasoning_effort: Annotated[str, Field(min_length=1)] | None = None
    max_tokens: _Field | None = None
    min_tokens: _Field | None = None
    temperature: _Field | None = None
    top_p: _Field | None = None
    seed: _Field | None = None
    logprobs: _Field | None = None
    top_logprobs: _Field | None = None
    n: _Field | None = None


class _TransformersOptions(_Options):
    revision: str = ""
    dtype: str = ""
    device: str = ""
    batch_size: _Count = 1
    gather: _Seconds = 0
    thinking: Any = None
    reasoning_effort: Any = None


_OPTIONS: dict[str, type[_Options]] = {
    "server": _ServerOptions,
    "transformers": _TransformersOptions,
    "scripted": _Options,
}
"""What options of each kind may be (their defaults are the generators' own); those of vLLM are
checked by vLLM when it starts, and those of thinking by the generators."""


class SpecParts(NamedTuple):
    """What a spec string says: `name` is empty where it names no model."""

    kind: str
    name: str
    options: dict[str, Any]

    @property
    def in_vllm(self) -> bool:
        """Whether vLLM on this machine answers; `embedded` leaves it to what is installed."""
        other = self.options.get("backend") == "transformers"
        return self.kind == "vllm" or (self.kind == "embedded" and not other)


def kind_of(spec: str) -> str:
    """The kind of generator that a spec names, whatever its options are."""
    return spec.partition("?")[0].partition(":")[0]


def runs_here(spec: str) -> bool:
    """Whether a model on this machine answers: not a server, and not a script."""
    return kind_of(spec) in ("vllm", "embedded", "transformers")


def read_spec(spec: str) -> SpecParts:
    """The parts of a spec string, not checked against what generators there are.

    Values of options are read as JSON where they are JSON, else as text (`dtype=bfloat16`). Raises
    InputError for an option without a value.
    """
    head, _, query = spec.partition("?")
    kind, _, name = head.partition(":")
    for part in filter(None, query.split("&")):
        if "=" not in part:
            raise InputError(
                Problem(without_password(spec), f"option `{part}` has no value", "write key=value")
            )
    options: dict[str, Any] = dict(parse_qsl(query, keep_blank_values=True))
    for key, value in options.items():
        with suppress(NotJson):
            options[key] = parse_json(value)
    return SpecParts(kind, name, options)


def with_options(spec: str, options: Mapping[str, Any]) -> str:
    """The spec with these options, in place of its own of the same names: `read_spec` reads what is
    given here, whatever characters and JSON types it is made of."""
    head, _, query = spec.partition("?")
    kept = [part for part in query.split("&") if part and parse_qsl(part)[0][0] not in options]
    parts = [*kept, *(f"{quote(name)}={_written(value)}" for name, value in options.items())]
    return f"{head}?{'&'.join(parts)}" if parts else head


def _written(value: object) -> str:
    """As JSON, but for a text that cannot be taken for JSON."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if isinstance(value, str):
        try:
            parse_json(value)
        except NotJson:
            text = value
    return quote(text, safe="/:,{}[]\"'@~=()*!<>|")


def open_generator(spec: str, *, chat_template: str | Path | None = None) -> Generator:
    """The generator a spec names. Nothing is loaded until its first request.

    `chat_template` is a file that replaces the model's own template, where it is not behind a server
    or a script (see `require_template_use`). Raises InputError for an
    unknown kind, an option that cannot be read or a missing file.
    """
    if judge := _debate_of(spec):
        from engine.generators.debate import DebatingJudge

        return DebatingJudge(open_generator(judge, chat_template=chat_template), spec)
    kind, name, options = _checked_parts(spec)
    remedy = "name a Jinja file with --chat-template"
    template = None
    if chat_template is not None:
        from engine.generators.chat_template import read_chat_template

        template = read_chat_template(Path(chat_template), remedy)
    match kind:
        case "embedded":
            from engine.generators.embedded import installed_backend, open_embedded

            backend = options.pop("backend", installed_backend())
            if backend == "transformers":
                _check_options(spec, backend, options)
            return open_embedded(backend, options, spec, template)
        case "vllm":
            from engine.generators.vllm import VllmGenerator

            return VllmGenerator(name, options=options, chat_template=template, spec=spec)
        case "server":
            return _open_server(spec, name, _ServerOptions.model_validate(options))
        case "transformers":
            from engine.generators.transformers import TransformersGenerator

            return TransformersGenerator(name, chat_template=template, spec=spec, **options)
        case _:
            from engine.generators.scripted import ScriptedGenerator, load_script

            return ScriptedGenerator(load_script(Path(name)) if name else None, spec)


def require_template_use(specs: Iterable[str], chat_template: str | Path | None) -> None:
    """Raises InputError for a chat template that none of the models can take."""
    if chat_template is None or {read_spec(spec).kind for spec in specs} - {"server", "scripted"}:
        return
    what = "is used by no model here: a server applies its own chat template, and a script has none"
    raise InputError(Problem(str(chat_template), what, "give it to the server, or leave it out"))


def _debate_of(spec: str) -> str | None:
    """The spec of the judge of a debate, None where there is none. Raises InputError for another
    method."""
    method = read_spec(spec).options.get("method")
    if method is None:
        return None
    if method != "debate":
        what = f"has no method `{method}`"
        raise InputError(Problem(without_password(spec), what, "write ?method=debate"))
    head, _, query = spec.partition("?")
    kept = [part for part in query.split("&") if part and not part.startswith("method=")]
    return f"{head}?{'&'.join(kept)}" if kept else head


def _open_server(spec: str, name: str, said: _ServerOptions) -> Generator:
    """The model before the `@` of the first URL; a URL's own is for a user's name."""
    from engine.generators.server import ServerGenerator
    from engine.generators.servers.asked import Asked
    from engine.generators.servers.dialect import RENAMED
    from engine.generators.servers.pool import Options

    start = min((at for at in map(name.find, ("@http://", "@https://")) if at >= 0), default=-1)
    model, urls = (name[:start], name[start + 1 :]) if start >= 0 else ("", "")
    if not model or not urls:
        form = "write `server:MODEL@http://HOST:PORT/v1`"
        raise InputError(Problem(without_password(spec), "names no server", form))
    words = {"on": True, "off": False}
    thinking = words[said.thinking] if isinstance(said.thinking, str) else said.thinking
    return ServerGenerator(
        model,
        tuple(urls.split(",")),
        options=Options(said.timeout, said.retries, said.backoff, said.concurrency),
        asked=Asked(
            renamed={own: other for own in RENAMED if (other := getattr(said, own))},
            omitted=tuple(filter(None, said.omit.split(","))),
            extra_body=said.extra_body,
            seed_bits=said.seed_bits,
            fold_system=said.system == "fold",
            samples=said.samples,
            thinking=thinking,
            reasoning_effort=said.reasoning_effort,
        ),
        key_env=said.key_env,
        headers=said.headers,
        api_version=said.api_version,
        spec=spec,
    )


def _checked_parts(spec: str) -> SpecParts:
    """Of a generator that there is, with options that it has."""
    if not spec:
        known = f"name one of the kinds {', '.join(_KINDS)}"
        raise InputError(Problem("the model", "is an empty text", known))
    if without_surrogates(spec) != spec:
        raise InputError(Problem(without_password(spec), "is not UTF-8", "retype or rename it"))
    kind, name, options = read_spec(spec)
    colon = ":" in spec.partition("?")[0]
    if kind not in _KINDS:
        raise InputError(_unknown(spec, kind))
    if (colon and not name) or (not colon and kind in ("vllm", "server", "transformers")):
        raise InputError(Problem(without_password(spec), "names no model", f"write `{kind}:NAME`"))
    _check_options(spec, kind, options)
    if kind in ("vllm", "transformers"):
        name = located_model(spec, name)
    return SpecParts(kind, name, options)


def _unknown(spec: str, kind: str) -> Problem:
    near = difflib.get_close_matches(kind, _KINDS, 1)
    known = f"did you mean `{near[0]}`?" if near else f"one of {', '.join(_KINDS)}"
    if Path(spec).exists():
        known = f"to serve a model directory write `vllm:{spec}` or `transformers:{spec}`"
    return Problem(without_password(spec), f"`{kind}` is not a kind of generator", known)


def _check_options(spec: str, kind: str, options: dict[str, Any]) -> None:
    if kind not in _OPTIONS:
        return
    known = tuple(_OPTIONS[kind].model_fields)
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"it has: {', '.join(known) or 'none'}"
            told = f"`{kind}` has no option `{name}`"
            raise InputError(Problem(without_password(spec), told, hint))
    try:
        _OPTIONS[kind].model_validate(options)
    except ValidationError as error:
        raise InputError(
            Problem(
                without_password(spec),
                f"`{_shown(wrong['loc'][0], wrong['input'])}` cannot be: {wrong['msg']}",
            )
            for wrong in error.errors(include_url=False)
        ) from error


def _shown(name: str | int, value: object) -> str:
    """An option as it may be shown: headers may hold a key."""
    return str(name) if name == "headers" else f"{name}={value}"
