"""Settings from a preset, a file and the command line."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from sedid.config import load_config


@dataclass(frozen=True)
class Settings:
    out: str
    steps: int = 10
    learning_rate: float = 0.1
    flip: bool = True
    limit: int | None = None
    t_secs: tuple[int, ...] = (165,)
    seed: int = 0


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


def test_a_missing_file_and_missing_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no settings file"):
        load_config(Settings, file=tmp_path / "absent.toml")
    with pytest.raises(ValueError, match="out must be given"):
        load_config(Settings)
