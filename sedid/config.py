"""Settings of a loop: the dataclass's defaults, then a preset, then a TOML file, then `key=value` from the command line."""

import dataclasses
import types
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

Config = TypeVar("Config")

MAY_BE_ZERO = ("warmup_steps", "samples", "loss_ts")  # and whatever is 0 by default; other whole numbers start at 1
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
NAMES: dict[Any, str] = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def load_config(
    cls: type[Config],
    preset: Mapping[str, Any] | None = None,
    file: Path | None = None,
    settings: Iterable[str] = (),
) -> Config:
    """Resolve the settings of a loop; later sources win.

    Args:
        cls: a dataclass of str, int, float, bool, tuples of one of them, or any of these `| None`.
        preset: values by name.
        file: a TOML file with one `key = value` a line.
        settings: "key=value" texts; a tuple is written with commas, in brackets or without, None as "none".

    Raises:
        ValueError: a key that `cls` does not have (the nearest one is named), a value of another type, a count below
            1, a setting without a default that was left out, or a file that is not TOML.
        FileNotFoundError: there is no such file.
    """
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for source, given in (("the preset", preset or {}), (str(file), _read_toml(file) if file else {})):
        for key, value in given.items():
            name = known(key, hints, source)
            values[name] = _typed(name, value, hints[name])
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ValueError(f"--set takes key=value, not {setting!r}")
        key = known(key.strip(), hints, "--set")
        values[key] = _parsed(key, text.strip(), hints[key])
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        least = 0 if field.name in MAY_BE_ZERO or field.default == 0 else 1
        value = values.get(field.name)
        for number in value if isinstance(value, tuple) else (value,):
            if type(number) is int and number < least:
                raise ValueError(f"{field.name} must be at least {least}, not {number}")
    missing = [
        field.name
        for field in dataclasses.fields(cls)  # type: ignore[arg-type]
        if field.name not in values
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ValueError(
            f"{' and '.join(missing)} must be given, e.g. --set {missing[0]}=...; all settings: {', '.join(hints)}"
        )
    return cls(**values)


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


def _accepts(hint: Any) -> tuple[Any, bool, Any]:
    """A type annotation -> (the plain type, whether None is accepted, the element type of a tuple or None)."""
    optional = False
    if get_origin(hint) in (Union, types.UnionType):
        optional = True
        (hint,) = (part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is tuple:
        return tuple, optional, get_args(hint)[0]
    return hint, optional, None


def _wanted(hint: Any) -> str:
    kind, optional, element = _accepts(hint)
    text = f"a list, each {NAMES[element]}" if kind is tuple else NAMES[kind]
    return f"{text}, or none" if optional else text


def _typed(key: str, value: Any, hint: Any) -> Any:
    """Check a value that already has a type (TOML, a preset)."""
    kind, optional, element = _accepts(hint)
    if value is None and optional:
        return None
    if kind is tuple and isinstance(value, list | tuple):
        return tuple(_typed(key, item, element) for item in value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind or (kind is float and not isfinite(value)):  # not isinstance: True is an int to it
        raise ValueError(f"{key} must be {_wanted(hint)}, not {value!r}")
    return value


def _parsed(key: str, text: str, hint: Any) -> Any:
    """Read a value from the text of `--set`."""
    kind, optional, element = _accepts(hint)
    if optional and text.lower() == "none":
        return None
    if kind is tuple:
        bare = text[1:-1] if text[:1] + text[-1:] in ("[]", "()") else text
        return tuple(_parsed(key, part.strip(), element) for part in bare.split(",") if part.strip())
    if kind is bool and text.lower() in TRUE + FALSE:
        return text.lower() in TRUE
    try:
        if kind is bool:
            raise ValueError
        value = kind(text)
    except ValueError:
        raise ValueError(f"{key} must be {_wanted(hint)}, not {text!r}") from None
    return _typed(key, value, hint)
