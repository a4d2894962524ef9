"""Any bytes and texts at all, and right ones with something changed: what reads them reads them, or says in a sentence why not."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.bundles import pictures
from helpers.image_files import encoded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sedid.config import load_config
from sedid.data.images import ImageError, crop_side, prepare, read_image
from sedid.data.spec import Spec
from sedid.detector.bundle import read_info
from sedid.detector.provenance import provenance
from sedid.jobs.commands import COMMANDS
from sedid.method.diffusion import read_steps, write_steps
from sedid.storage import read_arrays, read_json, read_object, write_json
from sedid.studies.kinds import KINDS
from sedid.training import records

often = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
seldom = settings(often, max_examples=40)
TEXT = st.text(max_size=40) | st.sampled_from(["", "\0", "[0:3]", "-1", "1e400", "nan", "0,495", "..", "~x", "é" * 300])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
PICTURES = [encoded(pictures(1)[0], kind) for kind in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM")]


@st.composite
def changed(draw: Callable[..., Any], files: list[bytes]) -> bytes:
    """A file with a piece of it replaced, by anything, of any length."""
    content = draw(st.sampled_from(files))
    start = draw(st.integers(0, len(content)))
    stop = draw(st.integers(start, min(len(content), start + 60)))
    return content[:start] + draw(st.binary(max_size=60)) + content[stop:]


def said(work: Callable[[], Any]) -> str:
    """The sentence with which something refuses; "" if it does not. Any other error is a fault."""
    try:
        work()
    except (ValueError, OSError) as error:
        return str(error) or pytest.fail(f"{error!r} says nothing")
    return ""


@settings(often, max_examples=150)
@given(changed(PICTURES) | st.binary(max_size=200), st.sampled_from([None, 0.5, 1.0, 20]))
def test_any_file_is_a_picture_or_a_sentence(content: bytes, crop: float | None) -> None:
    sentence = said(lambda: prepare(read_image(content).image, 32, crop))
    assert "\n" not in sentence
    if not sentence:
        made = prepare(read_image(content).image, 32, crop)
        assert (made.shape, made.dtype) == ((32, 32, 3), np.uint8)


@seldom
@given(st.integers(1, 90), st.integers(1, 90), st.floats(0.01, 1) | st.integers(2, 90) | st.none(), st.integers(0, 99))
def test_any_picture_is_prepared_to_its_size(width: int, height: int, crop: float | None, seed: int) -> None:
    from PIL import Image

    picture = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))
    if (width, height) != (32, 32) and crop_side(width, height, crop) > min(width, height):
        with pytest.raises(ImageError, match="does not fit"):
            prepare(picture, 32, crop)
        return
    made = prepare(picture, 32, crop)
    assert made.shape == (32, 32, 3)
    assert made.min() >= np.asarray(picture).min()
    assert made.max() <= np.asarray(picture).max()


@often
@given(TEXT)
def test_any_text_is_a_data_set_or_a_sentence(text: str) -> None:
    if not said(lambda: Spec.parse(text)):
        found = Spec.parse(text)
        assert Spec.parse(str(found)) == found


@often
@given(TEXT | st.lists(st.integers(-5, 10**25), max_size=5).map(lambda all: ",".join(map(str, all))))
def test_any_text_is_a_path_or_a_sentence(text: str) -> None:
    if not said(lambda: read_steps(text)):
        found = read_steps(text)
        assert isinstance(found, int) or read_steps(write_steps(found)) == found


GOOD = json.dumps({"stage": "a", "done": 1, "total": 2, "unit": "b", "values": {"loss": 0.5}}).encode()


@seldom
@given(
    st.lists(st.binary(max_size=30) | JSON.map(lambda value: json.dumps(value).encode()) | st.just(GOOD), max_size=8)
)
def test_any_lines_leave_the_records_that_are_some(tmp_path: Path, lines: list[bytes]) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(b"\n".join(lines))
    found = records.read(file)
    assert [one for one in found if one.get("stage") == "a"] == found or all(isinstance(one, dict) for one in found)
    with records.appending(file) as write:
        write({"stage": "last", "done": 1})
    assert records.read(file)[-1] == {"stage": "last", "done": 1}


@seldom
@given(
    JSON
    | st.dictionaries(
        st.sampled_from(["checkpoint_sha256", "sampler", "steps", "variance", "precision", "batch_size"]), JSON
    )
)
def test_any_manifest_is_read_or_a_sentence(tmp_path: Path, tiny_bundle: Path, value: Any) -> None:
    from sedid.detector.identity import checkpoint_hash

    write_json(tmp_path / "manifest.json", value)
    said(lambda: provenance(str(tmp_path / "images.npz"), tiny_bundle))
    if isinstance(value, dict):  # and of this very detector
        write_json(tmp_path / "manifest.json", value | {"checkpoint_sha256": checkpoint_hash(tiny_bundle)})
        said(lambda: provenance(str(tmp_path / "images.npz"), tiny_bundle))


@seldom
@given(JSON | st.binary(max_size=60))
def test_any_json_file_is_read_or_a_sentence(tmp_path: Path, value: Any) -> None:
    file = tmp_path / "sedid" / "detector.json"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
    for read in (read_json, read_object, lambda file: read_info(file.parents[1])):
        sentence = said(lambda read=read: read(file))
        assert not sentence or "detector.json" in sentence


@pytest.mark.parametrize("name", KINDS)
@settings(often, max_examples=25)
@given(value=JSON, version=st.sampled_from([1, 2, 3, None, True, "1"]))
def test_any_results_file_is_read_or_a_sentence(tmp_path: Path, name: str, value: Any, version: Any) -> None:
    content = value if not isinstance(value, dict) else value | {"version": version}
    write_json(tmp_path / f"{name}.json", content)
    assert f"{name}.json" in said(lambda: KINDS[name].read(tmp_path / f"{name}.json"))


def test_any_value_of_a_shipped_results_file_may_be_another(tmp_path: Path) -> None:
    """Right files with one place changed: the sentence names the file."""
    from sedid.detector.bundle import SHIPPED

    rng = np.random.default_rng(0)
    for name, kind in KINDS.items():
        file = SHIPPED / "sedid" / f"{name}.json"
        if not file.is_file():
            continue
        whole = file.read_text()
        for _ in range(6):
            at = int(rng.integers(len(whole)))
            (tmp_path / file.name).write_text(
                whole[:at] + str(rng.choice(["0", '"', "]", "null", "-", ""])) + whole[at + 1 :]
            )
            sentence = said(lambda kind=kind, file=file: kind.read(tmp_path / file.name))
            assert not sentence or file.name in sentence


NPZ = io.BytesIO()
np.savez(NPZ, a=np.arange(6), b=np.ones((2, 3), np.float32))


@seldom
@given(changed([NPZ.getvalue()]) | st.binary(max_size=60))
def test_any_arrays_are_read_or_a_sentence(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "kept.npz"
    file.write_bytes(content)
    sentence = said(lambda: read_arrays(file))
    assert not sentence or "kept.npz" in sentence


@seldom
@given(st.sampled_from(sorted(COMMANDS)), st.dictionaries(TEXT, TEXT, max_size=3), st.binary(max_size=60))
def test_any_settings_are_taken_or_a_sentence(tmp_path: Path, command: str, typed: dict[str, str], toml: bytes) -> None:
    kind = COMMANDS[command].settings
    names = list(kind.__dataclass_fields__)
    lines = [f"{name}={value}" for name, value in zip(names, typed.values(), strict=False)]
    said(lambda: load_config(kind, settings=lines))
    said(lambda: load_config(kind, settings=[f"{name}={value}" for name, value in typed.items()]))
    (tmp_path / "x.toml").write_bytes(toml)
    assert said(lambda: load_config(kind, file=tmp_path / "x.toml")) or not toml.strip()


QUERY = st.dictionaries(st.sampled_from(["k", "t_sec", "detector", "example", "tab", "x"]), TEXT, max_size=6)


@seldom
@given(QUERY)
def test_any_address_of_a_view_opens_the_page(query: dict[str, str]) -> None:
    """What a link says is taken where it can be, and passed over where not."""
    from helpers.bundles import shared_detector

    from sedid.ui.context import Context
    from sedid.ui.inspect.events import Inspector

    detector = shared_detector()
    inspector = Inspector(Context(shared_detector, ()), None)  # type: ignore[arg-type]
    pair = inspector.fit(detector, query.get("k"), query.get("t_sec"), detector.chosen or (165, 495))
    assert detector.pair(*pair) == pair
    assert inspector.named(query.get("example"), "default") is None
    assert not inspector.context.menu.offers(query.get("detector")) or query["detector"] == "default"
