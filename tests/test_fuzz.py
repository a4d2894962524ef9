"""Any bytes and texts at all, and right ones with something changed: what reads them reads them, or says in a sentence why not."""

import base64
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from helpers.bundles import pictures, shared_bundle, shared_detector
from helpers.image_files import encoded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sedid import settings as environment
from sedid.config import load_config
from sedid.data.datasets import iter_items, open_data
from sedid.data.images import ImageError, crop_side, prepare, read_image
from sedid.data.labels import load_labels
from sedid.data.spec import Spec
from sedid.data.splits import read_splits
from sedid.detector.bundle import read_info
from sedid.detector.calibrations import read_calibrations
from sedid.detector.provenance import provenance
from sedid.jobs.commands import COMMANDS
from sedid.jobs.folder import job_file
from sedid.jobs.store import JobStore
from sedid.method.diffusion import read_steps, write_steps
from sedid.models.schedules import load_schedule
from sedid.storage import read_arrays, read_json, read_object, stored_tensors, write_json
from sedid.studies.kinds import KINDS
from sedid.studies.reference_scores import read_gallery
from sedid.training import records
from sedid.ui import TABS
from sedid.ui.context import Context
from sedid.ui.learn.quiz import Records
from sedid.ui.links import Opener
from sedid.ui.server.api import Api

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
    from sedid.ui.inspect.events import Inspector

    detector = shared_detector()
    inspector = Inspector(Context(shared_detector, ()), None)  # type: ignore[arg-type]
    pair = inspector.fit(detector, query.get("k"), query.get("t_sec"), detector.chosen or (165, 495))
    assert detector.pair(*pair) == pair
    assert inspector.named(query.get("example"), "default") is None
    assert not inspector.context.menu.offers(query.get("detector")) or query["detector"] == "default"


def file_of_bundle(name: str) -> st.SearchStrategy[Any]:
    """The JSON of a file of the small bundle."""
    return st.builds(lambda: json.loads((shared_bundle() / name).read_text()))


@st.composite
def elsewhere(draw: Callable[..., Any], values: st.SearchStrategy[Any]) -> Any:
    """A JSON value with one thing in it, at any depth, replaced by anything or left out."""
    whole = place = draw(values)
    while True:
        name = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not place[name] or not isinstance(place[name], dict | list) or draw(st.booleans()):
            break
        place = place[name]
    if draw(st.booleans()):
        place[name] = draw(JSON)
    else:
        del place[name]
    return whole


@seldom
@given(elsewhere(file_of_bundle("sedid/detector.json")))
def test_any_part_of_detector_json_may_be_another(tmp_path: Path, info: Any) -> None:
    """It opens, with calibrations of the right kinds, or is refused by its name."""
    file = tmp_path / "sedid" / "detector.json"
    write_json(file, info)

    def opened() -> None:
        found = read_calibrations(read_info(tmp_path), shared_detector().schedule)
        assert all(isinstance(t_sec, int) and len(one.band) == 2 for (_, t_sec), one in found.stat.items())

    said(opened)


def small_safetensors() -> bytes:
    import torch
    from safetensors.torch import save

    return save({"weight": torch.ones(2, 3), "bias": torch.zeros(2)}, {"unet": "{}"})


@seldom
@given(changed([small_safetensors()]) | st.binary(max_size=60))
def test_any_weights_are_read_or_a_sentence(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)

    def read() -> None:
        with stored_tensors(file) as stored:
            for name in stored.keys():  # noqa: SIM118  it is no dict
                assert stored.get_tensor(name).shape == tuple(stored.get_slice(name).get_shape())
            assert stored.metadata() is None or isinstance(stored.metadata(), dict)

    sentence = said(read)
    assert not sentence or "model.safetensors" in sentence


@seldom
@given(elsewhere(file_of_bundle("scheduler/scheduler_config.json")) | st.dictionaries(TEXT, JSON, max_size=3))
def test_any_scheduler_is_a_schedule_or_a_sentence(tmp_path: Path, config: Any) -> None:
    write_json(tmp_path / "scheduler" / "scheduler_config.json", config)
    sentence = said(lambda: load_schedule(tmp_path))
    assert "\n" not in sentence


def packed() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/one.png", PICTURES[0])
        archive.writestr("two.jpg", PICTURES[1])
        archive.writestr("notes.txt", "no picture")
    return file.getvalue()


IMAGES = io.BytesIO()
np.savez(IMAGES, images=pictures(2), labels=np.arange(2))


@seldom
@given(changed([packed()]) | st.binary(max_size=60), changed([IMAGES.getvalue()]))
def test_any_archive_gives_its_pictures_or_says_why_not(tmp_path: Path, archive: bytes, arrays: bytes) -> None:
    for name, content in (("some.zip", archive), ("some.npz", arrays)):
        file = tmp_path / name
        file.write_bytes(content)

        def read(file: Path = file) -> None:
            for _, _, item in iter_items([open_data(str(file), 32, None)]):
                assert isinstance(item, ImageError) or item.shape == (32, 32, 3)

        sentence = said(read)
        assert not sentence or name in sentence
    said(lambda: load_labels(tmp_path / "some.npz", 2))
    said(lambda: read_splits(tmp_path / "some.npz", {}))
    said(lambda: read_gallery(tmp_path / "some.npz"))


@seldom
@given(
    st.dictionaries(st.sampled_from(["state", "pid", "process_started", "created", "command", "stop", "queued"]), JSON)
)
def test_any_job_is_one_or_is_passed_over(tmp_path: Path, info: dict[str, Any]) -> None:
    store = JobStore(tmp_path)
    known = {"state": "running", "pid": 1, "process_started": 0.0, "created": 1.0, "command": "score"}
    for job in ("20260101-000000-abcd", "20260101-000000-abce"):
        (tmp_path / job).mkdir(exist_ok=True)
        write_json(job_file(tmp_path / job), info if job.endswith("d") else known | info)
        said(lambda job=job: store.get(job))
    assert len(store.jobs()) <= 2


@seldom
@given(JSON.map(json.dumps) | TEXT)
def test_any_record_of_a_browser_is_one(text: str) -> None:
    detector = shared_detector()
    records = Records.read(text)
    played = records.of(detector)
    assert Records.read(records.after(detector, played).stored()).of(detector) == played


def refused(ask: Callable[[], Any]) -> str | None:
    """The sentence of an error that Gradio hands on; None where there was none."""
    try:
        ask()
    except gr.Error as error:
        return str(error.message)
    return None


URL = TEXT | st.binary(max_size=40).map(lambda data: "data:image/png;base64," + base64.b64encode(data).decode())
URL |= st.sampled_from(
    ["data:", "data:image/png;base64,é", "http://[", "/gradio_api/file=/etc/passwd", "file:///etc/passwd"]
)
SENT = JSON | URL | st.fixed_dictionaries({}, optional={"path": TEXT, "url": URL, "orig_name": JSON, "meta": JSON})


@settings(seldom, max_examples=25)
@given(SENT, JSON | TEXT, JSON | TEXT, TEXT | JSON)
def test_whatever_a_program_sends_is_answered_or_refused_in_a_sentence(
    tmp_path: Path, image: Any, k: Any, t_sec: Any, detector: Any
) -> None:
    """What the API and the tools of language models take: values of any kind, in the place of a file too."""
    api = Api(Context(shared_detector, ()))
    good = {"url": "data:image/png;base64," + base64.b64encode(PICTURES[0]).decode()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
        for ask in (
            lambda: api.inspect(image, k, t_sec, "default"),
            lambda: api.inspect(good, k, t_sec, "default"),
            lambda: api.inspect(good, 0, 0, detector),
            lambda: api.score_batch([image], "default"),
            lambda: api.score_batch(image, detector),
            lambda: api.sweep(image, k, detector),
            lambda: api.whose(image),
        ):
            sentence = refused(lambda ask=ask: json.dumps(ask()))  # type: ignore[misc]
            assert sentence is None or sentence.strip()


@often
@given(st.dictionaries(st.sampled_from(["tab", "detector", "study", "k"]), TEXT | st.just("learn")))
def test_any_address_leads_to_a_tab_and_a_detector_of_the_menu(query: dict[str, str]) -> None:
    menu = Context(shared_detector, ()).menu
    tab, source = Opener(TABS, menu).view(SimpleNamespace(query_params=query))  # type: ignore[arg-type]
    assert ("tab" not in query) == (not hasattr(tab, "selected"))
    assert not hasattr(tab, "selected") or tab.selected in TABS
    assert not isinstance(source, str) or menu.offers(source)


VARIABLES = [str(one.validation_alias) for one in environment.Settings.model_fields.values()]
PLAIN = TEXT.filter(lambda text: "\0" not in text and text.isprintable())


@often
@given(st.dictionaries(st.sampled_from(VARIABLES), PLAIN | st.integers().map(str), max_size=3))
def test_any_variable_is_a_setting_or_a_sentence_that_names_it(values: dict[str, str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        sentence = said(environment.read)
    assert not sentence or any(sentence.startswith(name) for name in values)
