"""Settings of a loop: the dataclass's defaults, then a preset, then a TOML file, then `key=value` from the command line.

What a setting accepts is said where it is declared, by its type: `steps: Count`, `ema_decay: Annotated[float,
Field(ge=0, lt=1)]`. pydantic holds every value to it, whoever made the settings; the sentences are ours.
"""

import dataclasses
import types
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]  # what scikit-learn takes, too
Positive = Annotated[float, Field(gt=0, le=1e30)]  # more than float32 can step by
NotNegative = Annotated[float, Field(ge=0, le=1e30)]
Share = Annotated[float, Field(gt=0, lt=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
ErrorRate = Annotated[float, Field(gt=0, lt=0.5)]
StepSizes = Annotated[tuple[Count, ...], Field(min_length=1)]
Precision = Literal["fp32", "bf16"]

KINDS: dict[Any, str] = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
SAID = 80  # characters of a refused value that are repeated
BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("above", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("below", "lt"),
}
"""pydantic's kind of error -> how we say it, and what pydantic calls the bound."""


class Settings:
    """The base of every dataclass of settings: a value that its field does not accept is refused, however it came.

    Fields are str, int, float, bool, `Literal`s, tuples of one of them, or any of these `| None`, with or without bounds.

    Raises:
        ValueError: on construction, in a sentence that names the field and what it accepts.
    """

    def __post_init__(self) -> None:
        for name, (hint, adapter) in _fields(type(self)).items():  # type: ignore[arg-type]
            value = getattr(self, name)
            if isinstance(value, list) and _parts(hint)[0] is tuple:  # TOML and JSON have no tuples
                value = tuple(value)
            object.__setattr__(self, name, _checked(name, value, hint, adapter, strict=True))


Config = TypeVar("Config", bound=Settings)


def load_config(
    cls: type[Config],
    preset: Mapping[str, Any] | None = None,
    file: Path | None = None,
    settings: Iterable[str] = (),
) -> Config:
    """Resolve the settings of a loop; later sources win.

    Args:
        cls: a dataclass derived from `Settings`.
        preset: values by name.
        file: a TOML file with one `key = value` a line.
        settings: "key=value" texts; a tuple is written with commas, in brackets or without, None as "none".

    Raises:
        ValueError: a key that `cls` does not have (the nearest one is named), a value that its field does not accept, a
            setting without a default that was left out, or a file that is not TOML.
        FileNotFoundError: there is no such file.
    """
    known_fields = _fields(cls)  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for source, given in (("the preset", preset or {}), (str(file), _read_toml(file) if file else {})):
        values |= {known(key, known_fields, source): value for key, value in given.items()}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ValueError(f"--set takes key=value, not {setting!r}")
        key = known(key.strip(), known_fields, "--set")
        values[key] = _parsed(key, text.strip(), *known_fields[key])
    missing = [
        field.name
        for field in dataclasses.fields(cls)  # type: ignore[arg-type]
        if field.name not in values
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ValueError(
            f"{' and '.join(missing)} must be given, e.g. --set {missing[0]}=...; all settings: {', '.join(known_fields)}"
        )
    return cls(**values)


@dataclasses.dataclass(frozen=True)
class Described:
    """A setting in words.

    Attributes:
        values: what it accepts.
        default: as it is written; None where it must be given.
    """

    name: str
    values: str
    default: str | None


def described(cls: type[Settings]) -> tuple[Described, ...]:
    """Every setting of a dataclass: what it accepts, by the checks that values of it go through, and its default."""
    found = []
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        schema = _fields(cls)[field.name][1].json_schema()  # type: ignore[arg-type]
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        shown = None if default is dataclasses.MISSING else written(default)
        found.append(Described(field.name, accepted(schema), shown))
    return tuple(found)


def written(value: Any) -> str:
    """A value as a setting is written."""
    if isinstance(value, tuple):
        return ",".join(map(written, value))
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def accepted(schema: Mapping[str, Any]) -> str:
    """A JSON schema of one value in words; the largest seed and float are no limits to anybody."""
    if "anyOf" in schema:
        return " or ".join(map(accepted, schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return ", ".join(map(str, schema.get("enum", [schema.get("const")])))
    if schema.get("type") == "array":
        items = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
        return f"{accepted(items)}; several with commas"
    names = {
        "integer": "whole number",
        "number": "number",
        "string": "text",
        "boolean": "true or false",
        "null": "none",
    }
    words = names.get(schema.get("type", ""), "value")
    low, high = schema.get("minimum"), schema.get("maximum")
    high = high if high is None or high < 2**32 - 1 else None
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    ends = [f"from {low:g}" if low is not None else f"above {above:g}" if above is not None else ""]
    ends.append(f"to {high:g}" if high is not None else f"below {below:g}" if below is not None else "")
    return " ".join([words, *filter(None, ends)])


def known(key: str, names: Iterable[str], source: str) -> str:
    """The key itself if it is one of the names.

    Raises:
        ValueError: it is not; the text names the nearest one, or all of them.
    """
    names = list(names)
    if key in names:
        return key
    near = get_close_matches(key, names, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"accepted: {', '.join(names)}"
    raise ValueError(f"{source} has an unknown name {key!r}; {hint}")


def _read_toml(file: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no settings file {file}") from None
    except ValueError as error:  # also text that is not UTF-8
        raise ValueError(f"{file} is not a TOML file: {error}") from error


@cache
def _fields(cls: type) -> dict[str, tuple[Any, TypeAdapter[Any]]]:
    """Setting -> its type, and what checks values of it."""
    hints = get_type_hints(cls, include_extras=True)
    asked = {field.name: hints[field.name] for field in dataclasses.fields(cls)}  # no ClassVar
    return {name: (hint, TypeAdapter(hint, config=ConfigDict(allow_inf_nan=False))) for name, hint in asked.items()}


def _parts(hint: Any) -> tuple[Any, bool, Any]:
    """A type without its bounds -> (the plain type, whether None is accepted, the element type of a tuple or None)."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _parts(arguments[0])
    if origin in (Union, types.UnionType):
        kind, _, element = _parts(next(part for part in arguments if part is not type(None)))
        return kind, True, element
    if origin is tuple:
        return tuple, False, _parts(arguments[0])[0]
    return hint, False, None


def _parsed(key: str, text: str, hint: Any, adapter: TypeAdapter[Any]) -> Any:
    """Read a value from the text of `--set`."""
    kind, optional, _ = _parts(hint)
    if optional and text.lower() == "none":
        return None
    value: Any = text
    if kind is tuple:
        bare = text[1:-1] if text[:1] + text[-1:] in ("[]", "()") else text
        value = tuple(part.strip().strip("\"'") for part in bare.split(",") if part.strip())
    return _checked(key, value, hint, adapter, strict=False)


def _checked(key: str, value: Any, hint: Any, adapter: TypeAdapter[Any], strict: bool) -> Any:
    """The value in its field's type.

    Args:
        strict: whether it already has that type; else it may be the text of it.
    """
    try:
        return adapter.validate_python(value, strict=strict)
    except ValidationError as error:
        raise ValueError(_sentence(key, hint, error.errors()[0])) from None


def _sentence(key: str, hint: Any, error: Any) -> str:
    """One of pydantic's errors as we say it: what was wrong, and what is accepted."""
    found, value = error["type"], error["input"]
    said = _in_part(repr(value))
    kind, optional, element = _parts(hint)
    if found == "literal_error":
        return f"unknown {key} {said}; accepted: {', '.join(each or 'nothing' for each in get_args(element or kind))}"
    if found == "string_too_short":
        return f"{key} must not be empty"
    if found == "too_short":
        return f"{key} must name at least {'one' if error['ctx']['min_length'] == 1 else error['ctx']['min_length']}"
    if found in BOUNDS:
        words, name = BOUNDS[found]
        return f"{key} must be {words} {error['ctx'][name]:,.12g}, not {_in_part(str(value))}"
    # an element of a list, or the whole
    wanted = f"a list, each {KINDS[element]}" if kind is tuple and not error["loc"] else KINDS[element or kind]
    return f"{key} must be {wanted}{', or none' if optional else ''}, not {said}"


def _in_part(value: str) -> str:
    """The beginning of a long value."""
    return value if len(value) <= SAID else f"{value[:SAID]}..."
