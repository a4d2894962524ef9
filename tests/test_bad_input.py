"""Bad input to the loops: a sentence that names the thing, nothing overwritten, no half-written file."""

import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import save_tiny_bundle
from helpers.bundles import pictures, shared_bundle, shared_detector
from helpers.image_files import encoded
from helpers.light_jobs import wait_for
from typer.testing import CliRunner

from sedid.cli import app
from sedid.detector.bundle import update_info
from sedid.detector.csv_file import COLUMNS, score_files
from sedid.detector.export import save_classifier, save_pipeline
from sedid.jobs import store as jobs_store
from sedid.progress import finish
from sedid.storage import replacing, write_json
from sedid.studies.evaluate import scores_file
from sedid.training.generate import GenerateConfig, generate
from sedid.training.nn_state import save_state as save_nn_state
from sedid.training.run import State, save_best, save_state
from sedid.ui.train import tab as train_tab
from sedid.ui.train import view as train_view

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def images(tmp_path: Path) -> dict[str, Path]:
    """Data sets by what is wrong with them."""
    made = {name: tmp_path / name for name in ("good.npz", "other.npz", "corrupt", "mixed")}
    np.savez(made["good.npz"], images=pictures(12))
    np.savez(made["other.npz"], images=pictures(12, 1))
    for folder in ("corrupt", "mixed"):
        made[folder].mkdir()
        for number, side in enumerate((32, 64, 48)):
            (made[folder] / f"{number}.png").write_bytes(
                encoded(pictures(1)[0].repeat(2, 0).repeat(2, 1)[:side, :side])
            )
    (made["corrupt"] / "3.png").write_bytes((made["mixed"] / "0.png").read_bytes()[:90])
    return made


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(shutil.copytree(shared_bundle(), tmp_path / "bundle"))


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def refused(command: str, **settings: Any) -> str:
    """What the command line says when it refuses."""
    given = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    done = CliRunner().invoke(app, [command, *given])
    assert done.exit_code == 1, done.output
    assert isinstance(done.exception, SystemExit), done.exception  # a sentence, not a traceback
    return done.output.splitlines()[-1]


def test_a_file_with_an_unknown_key_and_lists_in_brackets(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("stepz = 3\n")
    done = CliRunner().invoke(app, ["train-ddpm", "--config", str(tmp_path / "run.toml")])
    assert done.exit_code == 1
    assert "run.toml has an unknown name 'stepz'; did you mean 'steps'?" in done.output
    done = CliRunner().invoke(
        app,
        [
            "calibrate",
            *["--set", "ks=[165,330]", "--set", "detector=nowhere", "--set", "real=x", "--set", "generated=y"],
        ],
    )
    assert "ks = [165, 330]" in done.output
    assert "no detector at nowhere" in done.output


@pytest.mark.parametrize("command", ["calibrate", "train-nn", "evaluate", "sweep", "train-ddpm", "loop"])
def test_a_corrupt_image_is_named_and_nothing_changes(
    command: str, images: dict[str, Path], bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    settings: dict[str, Any] = {"device": "cpu"}
    if command in ("train-ddpm", "loop"):
        settings |= {"data": images["corrupt"], "out": out}
    else:
        settings |= {"detector": bundle, "generated": images["good.npz"]}
        settings["heldout" if command == "evaluate" else "real"] = images["corrupt"]
    before = files(bundle)
    said = refused(command, **settings)
    assert "3.png is damaged or cut off and cannot be decoded" in said
    assert files(bundle) == before
    assert not list(out.glob("**/*.safetensors"))


@pytest.mark.parametrize(
    ("command", "settings", "said"),
    [
        ("train-nn", {"real": "good.npz[0:5]", "generated": "other.npz"}, "5 images are too few to keep 20% for valid"),
        ("calibrate", {"real": "good.npz[0:13]", "generated": "other.npz"}, "good.npz has 12 images"),
        ("calibrate", {"real": "good.npz", "generated": "other.npz", "ks": "1000"}, "k must be between 1 and 999"),
        ("calibrate", {"real": "good.npz", "generated": "other.npz", "ks": ""}, "ks must name at least one"),
        ("sweep", {"real": "good.npz", "generated": "none.npz"}, "none.npz; accepted are a folder, a .zip, a .npz"),
        ("evaluate", {"heldout": "good.npz[5:3]", "generated": "other.npz"}, "The slice [5:3] does not fit"),
        (
            "train-ddpm",
            {"data": "good.npz", "out": "o", "unet": "demo"},
            "batch_size 128 is larger than the data set (12",
        ),
        ("loop", {"data": "good.npz", "out": "o"}, "the splits need 10001 images"),
        ("generate", {"out": "o", "count": "0"}, "count must be at least 1, not 0"),
    ],
)
def test_data_that_do_not_suffice_are_named(
    command: str,
    settings: dict[str, str],
    said: str,
    images: dict[str, Path],
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = files(bundle)
    given = settings if command in ("train-ddpm", "loop") else {"detector": str(bundle)} | settings
    assert said in refused(command, **given, device="cpu")
    assert files(bundle) == before


def test_images_of_mixed_sizes_are_made_one_size(images: dict[str, Path]) -> None:
    from sedid.data.datasets import load_images

    assert load_images(images["mixed"], 32, None).shape == (3, 32, 32, 3)


def test_a_checkpoint_of_another_architecture_or_none_is_named(images: dict[str, Path], tmp_path: Path) -> None:
    narrow, wide = save_tiny_bundle(tmp_path / "narrow"), save_tiny_bundle(tmp_path / "wide", width=12)
    run = {"data": images["good.npz"], "out": tmp_path / "run", "batch_size": 2, "samples": 0, "device": "cpu"}
    given = [
        part for key, value in (run | {"start": narrow, "steps": 1}).items() for part in ("--set", f"{key}={value}")
    ]
    assert CliRunner().invoke(app, ["train-ddpm", *given]).exit_code == 0
    state = tmp_path / "run" / "state.safetensors"
    before = state.read_bytes()
    said = refused("train-ddpm", **run | {"start": wide, "steps": 2})
    assert f"{state} is a checkpoint of another architecture" in said
    assert state.read_bytes() == before
    state.write_bytes(b"not weights")
    assert f"{state} is damaged" in refused("train-ddpm", **run | {"start": narrow, "steps": 2})

    shutil.copy(next((wide / "unet").glob("*.safetensors")), next((narrow / "unet").glob("*.safetensors")))
    said = refused("generate", detector=narrow, out=tmp_path / "out", device="cpu")
    assert f"the U-Net in {narrow} does not fit its config.json" in said
    assert "has the shape" in said
    (tmp_path / "run" / "best.safetensors").write_bytes(b"not weights")
    done = CliRunner().invoke(app, ["export", str(tmp_path / "run"), str(tmp_path / "made")])
    assert "best.safetensors is damaged" in done.output
    assert not (tmp_path / "made").exists()


@contextmanager
def full_disk(room: int = 2_000) -> Iterator[None]:
    """No file may grow beyond `room` bytes: the system itself refuses the rest."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def optimizer_of(network: torch.nn.Module) -> torch.optim.Optimizer:
    made = torch.optim.Adam(network.parameters())
    sum(parameter.sum() for parameter in network.parameters()).backward()  # type: ignore[union-attr]
    made.step()
    return made


def write_state(folder: Path, unet: Any) -> None:

    weights = {name: value.clone() for name, value in unet.state_dict().items()}
    save_state(folder, State(unet, {}, weights, optimizer_of(unet), 1, 0.5))


def write_best(folder: Path, unet: Any) -> None:
    save_best(folder, State(unet, {}, unet.state_dict(), None, 1, 9.0))


def write_arrays(folder: Path, unet: Any) -> None:
    with replacing(scores_file(folder / "results.json")) as temporary:
        np.savez_compressed(
            temporary,
            weights=unet.conv_in.weight.detach().numpy(),
            more=unet.time_embedding.linear_2.weight.detach().numpy(),
        )


def write_nn_state(folder: Path, unet: Any) -> None:
    save_nn_state(folder / "nn-state.safetensors", "key", unet, torch.optim.SGD(unet.parameters()), {}, {})


WRITERS: dict[str, Callable[[Path, Any], object]] = {
    "pipeline": lambda folder, unet: save_pipeline(unet, folder),
    "classifier": lambda folder, unet: save_classifier(unet, folder),
    "results": lambda folder, unet: write_json(folder / "results.json", next(unet.parameters()).flatten().tolist()),
    "scores": write_arrays,
    "state": write_state,
    "best": write_best,
    "nn-state": write_nn_state,
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_named_and_the_good_files_stay(
    writer: str, tmp_path: Path, tiny_unet: Callable[..., Any]
) -> None:
    WRITERS[writer](tmp_path, tiny_unet(seed=1))
    before = files(tmp_path)
    with full_disk(), pytest.raises(OSError, match=f"No space left on the disk to write {tmp_path}.*; what was there"):
        WRITERS[writer](tmp_path, tiny_unet(seed=2))
    assert files(tmp_path) == before
    WRITERS[writer](tmp_path, tiny_unet(seed=2))
    after = files(tmp_path)
    assert after != before
    assert after.keys() == before.keys()


def test_a_full_disk_leaves_detector_json_and_a_generated_set_to_go_on_with(
    bundle: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    before = files(bundle)
    with full_disk(), pytest.raises(OSError, match=r"No space left on the disk to write .*detector\.json"):
        update_info(bundle, name="another")
    assert files(bundle) == before

    config = GenerateConfig(str(tiny_bundle), str(tmp_path / "set"), 4, "ddim", 1, 2, device="cpu")
    with full_disk(800), pytest.raises(OSError, match=r"No space left on the disk to write .*0000000-0000002\.npz"):
        finish(generate(config))
    assert list((tmp_path / "set" / "parts").iterdir()) == []
    finish(generate(config))
    with np.load(tmp_path / "set" / "images.npz", allow_pickle=False) as stored:
        assert stored["images"].shape == (4, 32, 32, 3)


def test_a_full_disk_is_named_where_images_are_scored(images: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    before = ",".join(COLUMNS) + "\nan earlier table"
    out.write_text(before)
    with full_disk(100), pytest.raises(OSError, match=f"No space left on the disk to write {out}; what was there"):
        finish(score_files(shared_detector(), [str(images["good.npz"])], out))
    assert out.read_text() == before


def test_the_page_says_the_same_of_settings_and_of_data(runs: Path, images: dict[str, Path], tiny_bundle: Path) -> None:
    import gradio as gr

    page = train_tab.Page(jobs_store.JobStore(runs))
    page.names = ["detector", "data", "generated"]
    values = (str(tiny_bundle), str(images["corrupt"]), str(images["good.npz"]))
    for lines, said in (("ksz = 165", "did you mean &#x27;ks&#x27;"), ("ks = [0]", "Ks must be at least 1, not 0")):
        with pytest.raises(gr.Error, match=said):
            page.start("calibrate", "", lines, *values)
    chosen = page.start("calibrate", "", "ks = [330, 495]", *values)
    wait_for(lambda: not page.store.get(chosen.value).active)
    job = page.store.get(chosen.value)
    assert job.state == "failed"
    assert f"{images['corrupt']}/3.png is damaged" in job.error
    assert "3.png is damaged" in train_view.state_html(job, [])
