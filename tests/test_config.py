"""Settings from a preset, a file and the command line."""

import dataclasses
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_type_hints

import pytest

from sedid import config as settings_of
from sedid.config import Count, Decay, Positive, Seed, StepSizes, Text, load_config
from sedid.jobs.commands import COMMANDS, resolve_loop


@dataclass(frozen=True)
class Settings(settings_of.Settings):
    out: str
    steps: Count = 10
    learning_rate: float = 0.1
    flip: bool = True
    limit: Count | None = None
    t_secs: tuple[Count, ...] = (165,)
    seed: Seed = 0


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('out = "from the file"\nsteps = 20\nlearning_rate = 1\nt_secs = [330, 495]\n', encoding="utf-8")
    config = load_config(Settings, {"steps": 5, "flip": False, "limit": None}, file, ["steps=30"])
    assert config == Settings("from the file", 30, 1.0, False, None, (330, 495))
    assert isinstance(config.learning_rate, float)


@pytest.mark.parametrize(
    ("setting", "name", "value"),
    [
        ("steps=800_000", "steps", 800_000),
        ("learning_rate=2e-4", "learning_rate", 2e-4),
        ("flip=no", "flip", False),
        ("flip = TRUE", "flip", True),
        ("limit=none", "limit", None),
        ("limit=3", "limit", 3),
        ("t_secs=165, 330", "t_secs", (165, 330)),
        ("t_secs=[165, 330]", "t_secs", (165, 330)),
        ("t_secs=(165,)", "t_secs", (165,)),
        ("t_secs=[]", "t_secs", ()),
        ("out=a=b", "out", "a=b"),
        ("out=", "out", ""),
    ],
)
def test_command_line_texts_take_the_type_of_their_setting(setting: str, name: str, value: object) -> None:
    config = load_config(Settings, settings=["out=x", setting])
    assert getattr(config, name) == value
    assert type(getattr(config, name)) is type(value)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("stpes=3", "did you mean 'steps'"),
        ("zzz=3", "accepted: out, steps"),
        ("steps", "key=value, not 'steps'"),
        ("steps=ten", "steps must be a whole number, not 'ten'"),
        ("steps=1.5", "steps must be a whole number"),
        ("steps=0", "steps must be at least 1, not 0"),
        ("limit=-3", "limit must be at least 1, not -3"),
        ("t_secs=[165, 0]", "t_secs must be at least 1, not 0"),
        ("seed=-1", "seed must be at least 0, not -1"),
        ("learning_rate=fast", "learning_rate must be a number"),
        ("learning_rate=nan", "learning_rate must be a number"),
        ("flip=maybe", "flip must be true or false"),
        ("limit=few", "limit must be a whole number, or none"),
        ("t_secs=165,b", "t_secs must be a whole number, not 'b'"),
        ("t_secs=[165", r"t_secs must be a whole number, not '\[165'"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(setting: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load_config(Settings, settings=["out=x", setting])


@pytest.mark.parametrize("written", ["a,b c", "[a, b c]", '["a", "b c"]', "('a', 'b c')"])
def test_a_list_of_texts_may_be_written_with_quotes_as_in_a_file(written: str) -> None:
    @dataclass(frozen=True)
    class Named(settings_of.Settings):
        methods: tuple[str, ...]

    assert load_config(Named, settings=[f"methods={written}"]).methods == ("a", "b c")


def test_a_refused_value_is_repeated_in_part() -> None:
    with pytest.raises(ValueError, match="steps must be a whole number") as refused:
        load_config(Settings, settings=["out=x", f"steps={'[' * 100_000}"])
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('steps = "10"', "steps must be a whole number, not '10'"),
        ("t_secs = [0]", "t_secs must be at least 1, not 0"),
        ("steps = true", "steps must be a whole number, not True"),
        ("steps = 1.0", "steps must be a whole number"),
        ("flip = 1", "flip must be true or false"),
        ("t_secs = 165", "t_secs must be a list, each a whole number"),
        ("[steps]", "steps must be a whole number"),
        ("steps = ", "is not a TOML file"),
        ("seteps = 3", "run.toml has an unknown name 'seteps'; did you mean 'steps'"),
    ],
)
def test_a_file_is_held_to_the_types(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "run.toml"
    file.write_text(line, encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        load_config(Settings, file=file, settings=["out=x"])


@dataclass(frozen=True)
class Bounded(settings_of.Settings):
    out: Text
    decay: Decay = 0.5
    rate: Positive = 1.0
    ks: StepSizes = (165,)
    kind: Literal["one", "two"] = "one"
    seed: Seed = 0


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("decay", 1.0, "decay must be below 1, not 1.0"),
        ("decay", -0.5, "decay must be at least 0, not -0.5"),
        ("rate", 0.0, "rate must be above 0, not 0.0"),
        ("rate", float("inf"), "rate must be a number, not inf"),
        ("ks", (), "ks must name at least one"),
        ("ks", [165, 0], "ks must be at least 1, not 0"),
        ("kind", "three", "unknown kind 'three'; accepted: one, two"),
        ("seed", 10**20, f"seed must be at most 4,294,967,295, not {10**20}"),
        ("seed", True, "seed must be a whole number, not True"),
        ("out", "", "out must not be empty"),
    ],
)
def test_a_range_is_kept_however_the_settings_are_made(name: str, value: object, said: str, tmp_path: Path) -> None:
    good: dict[str, Any] = {"out": "x"}
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        Bounded(**good | {name: value})
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        replace(Bounded("x"), **{name: value})
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        load_config(Bounded, good | {name: value})
    if type(value) in (int, float, str) and value != float("inf"):
        with pytest.raises(ValueError, match=re.escape(said.split(",")[0])):
            load_config(Bounded, good, settings=[f"{name}={value}"])


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_takes_a_negative_number_or_an_empty_name(command: str) -> None:
    cls = COMMANDS[command].settings
    fields = dataclasses.fields(cls)
    required: dict[str, Any] = {field.name: "x" for field in fields if field.default is dataclasses.MISSING}
    required |= {name: ("x",) for name in required if "tuple" in str(get_type_hints(cls)[name])}
    for name in required:
        with pytest.raises(ValueError, match=f"^{name} must (not be empty$|be a list, each text)"):
            cls(**required | {name: ""})
    numbers = [field.name for field in fields if type(field.default) in (int, float)]
    lists = [field.name for field in fields if isinstance(field.default, tuple) and "int" in str(field.type)]
    assert numbers
    for name, value in [(name, -1) for name in numbers] + [(name, (-1,)) for name in lists]:
        with pytest.raises(ValueError, match=f"^{name} must be (at least|above) "):
            cls(**required | {name: value})


@pytest.mark.parametrize(
    "setting",
    ["ema_decay=2", "ema_decay=-1", "ema_decay=1", "grad_clip=-1", "min_snr_gamma=-3", "learning_rate=0", "out="],
)
def test_settings_that_wreck_a_training_are_refused(setting: str) -> None:
    with pytest.raises(ValueError, match=f"^{setting.partition('=')[0]} must "):
        resolve_loop("train-ddpm", "demo", None, ["data=x", "out=y", setting])


def test_a_missing_file_and_missing_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no settings file"):
        load_config(Settings, file=tmp_path / "absent.toml")
    with pytest.raises(ValueError, match="out must be given"):
        load_config(Settings)


def test_settings_are_described_by_the_checks_their_values_go_through() -> None:
    """The page lists them; what it says is accepted, and what lies outside is refused."""
    from sedid.config import described
    from sedid.jobs.commands import COMMANDS

    found = {one.name: one for one in described(COMMANDS["train-ddpm"].settings)}
    assert found["data"].default is None
    assert (found["steps"].values, found["steps"].default) == ("whole number from 1", "800000")
    assert found["unet"].values == "tiny, demo, small, paper"
    assert found["ema_decay"].values == "number from 0 below 1"
    assert (found["seed"].default, found["flip"].default, found["dropout"].default) == ("0", "true", "none")
    for name in COMMANDS:
        settings = described(COMMANDS[name].settings)
        assert len({one.name for one in settings}) == len(settings)
        assert "value" not in " ".join(one.values for one in settings)
