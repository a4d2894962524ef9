"""Every environment variable the project reads, as one frozen object.

`read()` gives it as the environment stands; `table()` describes it for `docs/settings.md`, which a test compares.
"""

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Saving = Literal["offload", "layers", "slices", "tiles"]
"""A way to save memory of a device. offload: VAE and text encoders wait in the computer's memory. layers: the large network does so,
too, layer by layer. slices: its attention works through a few heads at a time. tiles: the VAE sees a picture in tiles."""


def _words(value: Any) -> Any:
    """The words of a list with commas."""
    return [word.strip() for word in value.split(",")] if isinstance(value, str) else value


def _from(name: str, default: Any, meaning: str, shown: str = "", **bounds: Any) -> Any:
    """A field that the variable `name` sets; `shown` is its default in words, where the value says little."""
    return Field(default, validation_alias=name, description=meaning, json_schema_extra={"shown": shown}, **bounds)


class Settings(BaseSettings):
    """What the environment says; a variable that is not set, or empty, leaves the default."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore")

    detector: str = _from(
        "SEDID_DETECTOR",
        "",
        "the detector the page opens with: a bundle folder, a diffusers DDPM folder or a Hub id",
        "the shipped one",
    )
    runs: Path = _from("SEDID_RUNS", Path("runs"), "the folder in which jobs run")
    runs_max_gb: float = _from(
        "SEDID_RUNS_MAX_GB",
        5.0,
        "how many GB that folder may hold; a job that passes it ends with a sentence, its last checkpoint intact",
        ge=0,
        allow_inf_nan=False,
    )
    disk_free_gb: float = _from(
        "SEDID_DISK_FREE_GB", 1.0, "how many GB a job leaves free on its disk", ge=0, allow_inf_nan=False
    )
    data: Path = _from(
        "SEDID_DATA",
        Path("~/.cache/sedid"),
        "where downloaded data sets are kept",
    )
    public: bool | None = _from(
        "SEDID_PUBLIC",
        None,
        "1: a public page, on which jobs and detectors by address are off; 0: a private one",
        "1 on a Space, else 0",
    )
    admin_password: str = _from(
        "SEDID_ADMIN_PASSWORD", "", "unlocks jobs in an open page of a public app", "none: nothing can be unlocked"
    )
    memory: Annotated[frozenset[Saving], NoDecode, BeforeValidator(_words)] = _from(
        "SEDID_MEMORY",
        frozenset(),
        "how memory of a small GPU is saved, [in words with commas](add-detector.md#memory): `offload`, `layers`, `slices`, `tiles`",
        "none",
    )
    server_name: str = _from("GRADIO_SERVER_NAME", "127.0.0.1", "the address the app listens on")
    server_port: int | None = _from(
        "GRADIO_SERVER_PORT",
        None,
        "the port the app listens on, and no other: where it is taken, the app says so and ends",
        "the first free one from 7860",
        ge=1,
        le=65_535,
    )
    temp: Path | None = _from(
        "GRADIO_TEMP_DIR", None, "where uploads lie while they live", "the system's temporary folder"
    )
    space: str = _from("SPACE_ID", "", "set by Hugging Face on a Space", "none")
    zero_gpu: bool = _from("SPACES_ZERO_GPU", False, "set by Hugging Face on a Space that lends a GPU")

    @property
    def is_public(self) -> bool:
        """Whether strangers are expected: SEDID_PUBLIC says so, else whether this is a Space."""
        return bool(self.space) if self.public is None else self.public


def read() -> Settings:
    """The settings as the environment stands now.

    Raises:
        ValueError: a variable has a value it cannot have; the text names it and what is accepted.
    """
    return _read(tuple(os.environ.get(str(field.validation_alias)) for field in Settings.model_fields.values()))


@lru_cache(1)  # every request asks, and to read them takes longer than to answer some of them
def _read(_: tuple[str | None, ...]) -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(
            f"{first['loc'][0]} is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}"
        ) from None


def table() -> str:
    """The variables as a Markdown table: name, meaning, default."""
    rows = ["| variable | meaning | default |", "| --- | --- | --- |"]
    for field in Settings.model_fields.values():
        shown = (field.json_schema_extra or {})["shown"] or f"`{field.default}`"  # type: ignore[index]
        rows.append(f"| `{field.validation_alias}` | {field.description} | {shown} |")
    return "\n".join(rows)
