"""The Hub by a fake of its client's calls, and pipelines of other people: opened, copied, calibrated. No network."""

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.bundles import CHOSEN, pictures, shared_bundle
from helpers.fake_hub import FakeHub, answer, names_in
from huggingface_hub import errors
from typer.testing import CliRunner

from sedid import load_detector
from sedid.cli import app
from sedid.detector.bundle import SHIPPED, checkpoint_hash, own_folder
from sedid.detector.hub import bundle_files, publish, split_id

pytestmark = pytest.mark.usefixtures("one_thread")

OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
OLD_SCHEDULER = {
    "_class_name": "DDPMScheduler",
    "_diffusers_version": "0.1.1",
    "beta_end": 0.02,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.0001,
    "clip_sample": True,
    "num_train_timesteps": 400,
    "trained_betas": None,
    "variance_type": "fixed_large",
}


def run(*arguments: str) -> tuple[int, str]:
    """A command of the command line: (exit code, everything printed)."""
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    return FakeHub(tmp_path / "hub", monkeypatch)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def evaluated(tmp_path: Path) -> Path:
    """A bundle that may be published, with files that are no part of one lying about."""
    folder = Path(shutil.copytree(shared_bundle(), tmp_path / "mine"))
    protocol = {"checkpoint_sha256": checkpoint_hash(folder)}
    (folder / "sedid" / "results.json").write_text(json.dumps({"protocol": protocol}))
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A detector\n")
    for name in ("secret.txt", ".env", "sedid/results-scores.npz", "sedid/.detector.7.7.json", "unet/old.bin"):
        (folder / name).write_bytes(b"not for others")
    return folder


@pytest.fixture
def old_pipeline(tmp_path: Path, tiny_unet: Callable[..., Any]) -> Path:
    """A pipeline as of 2022: everything at the root, attention by its old names, few keys in the configs."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "ddpm-old"
    tiny_unet(sample_size=32).save_pretrained(folder)
    weights, config = folder / "diffusion_pytorch_model.safetensors", folder / "config.json"
    renamed = {}
    for name, tensor in load_file(weights).items():
        for new, old in OLD_NAMES.items():
            name = name.replace(f".{new}.", f".{old}.")
        renamed[name] = tensor
    assert any(".proj_attn." in name for name in renamed)
    save_file(renamed, weights, metadata={"format": "pt"})
    kept = json.loads(config.read_text())
    for name in ("add_attention", "class_embed_type", "dropout", "upsample_type", "resnet_time_scale_shift"):
        del kept[name]
    config.write_text(json.dumps(kept | {"_diffusers_version": "0.0.4"}))
    (folder / "scheduler_config.json").write_text(json.dumps(OLD_SCHEDULER))
    index = {"_class_name": "DDPMPipeline", "_diffusers_version": "0.1.1"}
    parts = {"scheduler": ["diffusers", "DDPMScheduler"], "unet": ["diffusers", "UNet2DModel"]}
    (folder / "model_index.json").write_text(json.dumps(index | parts))
    return folder


# --- publish ---------------------------------------------------------------------------------------------------


def test_what_is_published_opens_from_the_hub_as_it_was(hub: FakeHub, evaluated: Path) -> None:
    found = publish(evaluated, "me/mine", private=True)
    assert found.url == "https://hub.test/me/mine"
    assert hub.private == {"me/mine": True}
    assert hub.names("me/mine") == set(found.files)
    assert found.files["README.md"] == (evaluated / "README.md").stat().st_size
    assert not [name for name in found.files if name.endswith((".txt", ".env", ".npz", ".bin")) or "/." in name]
    there, here = load_detector("me/mine", device="cpu"), load_detector(evaluated, device="cpu")
    assert (there.stat, there.chosen, there.nn, there.name) == (here.stat, CHOSEN, here.nn, "mine")
    image = pictures(1)[0]
    assert there.inspect(image).judgement == here.inspect(image).judgement


def test_publishing_again_leaves_no_weights_of_before(hub: FakeHub, evaluated: Path) -> None:
    publish(evaluated, "me/mine")
    (hub.folder("me/mine") / "unet" / "diffusion_pytorch_model-00009-of-00009.safetensors").write_bytes(b"old shard")
    (hub.folder("me/mine") / "notes.md").write_text("the user's own")
    publish(evaluated, "me/mine")
    assert hub.names("me/mine") == {*bundle_files(evaluated), "notes.md"}
    assert load_detector("me/mine", device="cpu").chosen == CHOSEN


def test_a_dry_run_lists_the_same_files_and_sends_nothing(hub: FakeHub, evaluated: Path) -> None:
    code, said = run("publish", str(evaluated), "me/mine", "--dry-run")
    assert code == 0
    assert all(f"{size:,}  {name}" in said for name, size in bundle_files(evaluated).items())
    assert "nothing was sent; this would go to me/mine" in said
    assert hub.private == {}
    code, said = run("publish", str(evaluated), "me/mine", "--private")
    assert (code, hub.private) == (0, {"me/mine": True})
    assert "done: https://hub.test/me/mine" in said


def test_only_whole_measured_bundles_are_published(hub: FakeHub, evaluated: Path, tiny_bundle: Path) -> None:
    def said(*arguments: str) -> str:
        code, output = run("publish", *arguments)
        assert code == 1
        return output

    assert "is not a detector bundle" in said(str(tiny_bundle), "me/mine")
    assert "is not a detector bundle" in said(str(evaluated / "absent"), "me/mine")
    for name in ("mine", "me/mine@v2", "../mine", "me/..", "a/b/c"):
        assert "write user/repo" in said(str(evaluated), name)
    (evaluated / "README.md").unlink()
    assert "write it with `python -m sedid card" in said(str(evaluated), "me/mine")
    (evaluated / "sedid" / "results.json").write_text('{"protocol": {"checkpoint_sha256": "another"}}')
    assert "measured with other weights" in said(str(evaluated), "me/mine")
    (evaluated / "sedid" / "results.json").unlink()
    assert "was not evaluated" in said(str(evaluated), "me/mine")
    assert hub.private == {}


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (errors.LocalTokenNotFoundError("no token"), PermissionError, "log in with `hf auth login`, or set HF_TOKEN"),
        (answer(401), PermissionError, "log in with `hf auth login`"),
        (answer(403), PermissionError, "may not write to me/mine: use a token with write access, or another name"),
        (
            answer(404, errors.RepositoryNotFoundError),
            FileNotFoundError,
            "there is no me/mine on the Hub, or it is pri",
        ),
        (
            answer(403, errors.GatedRepoError),
            PermissionError,
            r"me/mine is gated: accept its licence on https://huggingface\.co/me/mine, then log in",
        ),
        (answer(500), ConnectionError, r"the Hub refused \(500\): 500 from the Hub$"),
        (
            errors.OfflineModeIsEnabled("offline"),
            ConnectionError,
            "cannot be asked for me/mine: this machine is offline",
        ),
        (errors.LocalEntryNotFoundError("down"), ConnectionError, "cannot be asked for me/mine"),
        (errors.HTTPError("connection refused"), ConnectionError, "cannot be asked for me/mine"),
        (OSError(28, "No space left on device"), OSError, "No space left on device"),
    ],
)
def test_errors_of_the_client_become_a_sentence(
    hub: FakeHub, evaluated: Path, error: Exception, kind: type[OSError], said: str
) -> None:
    hub.error = error
    with pytest.raises(kind, match=said) as caught:
        publish(evaluated, "me/mine")
    assert "\n" not in str(caught.value)
    with pytest.raises(OSError, match=said):
        load_detector("me/mine")


def test_an_interrupted_upload_says_how_to_finish(
    hub: FakeHub, evaluated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("huggingface_hub.HfApi.upload_folder", interrupted)
    code, said = run("publish", str(evaluated), "me/mine")
    assert code == 130
    assert "the same command finishes it" in said


# --- from the Hub ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("user/repo", ("user/repo", None)),
        ("user/repo@v1.0", ("user/repo", "v1.0")),
        ("user/repo@refs/pr/3", ("user/repo", "refs/pr/3")),
        ("google/ddpm-cifar10-32", ("google/ddpm-cifar10-32", None)),
        *[(bad, None) for bad in ("repo", "/etc/passwd", "../x/y", "a/..", "a/b@../c", "a/b@", "a/b/c", "a--b/c", "")],
    ],
)
def test_hub_ids(text: str, parts: tuple[str, str | None] | None) -> None:
    assert split_id(text) == parts


def test_only_json_and_safetensors_of_a_pipeline_are_fetched(hub: FakeHub, old_pipeline: Path) -> None:
    repo = Path(shutil.copytree(old_pipeline, hub.folder("them/ddpm")))
    unwanted = {"diffusion_pytorch_model.bin", "diffusion_pytorch_model.fp16.safetensors", "run.py", "images/a.png"}
    for name in unwanted:
        (repo / name).parent.mkdir(exist_ok=True)
        (repo / name).write_bytes(b"unwanted")
    detector = load_detector("them/ddpm", device="cpu")
    assert (detector.name, detector.chosen, len(detector.schedule)) == ("ddpm", None, 400)
    assert set(hub.fetched) == names_in(old_pipeline)
    assert detector.info["checkpoint_sha256"] == checkpoint_hash(old_pipeline)


def test_a_revision_is_fetched_as_such(hub: FakeHub, tiny_bundle: Path) -> None:
    shutil.copytree(tiny_bundle, hub.folder("me/mine", "v2"))
    assert load_detector("me/mine@v2", device="cpu").name == "mine@v2"
    with pytest.raises(FileNotFoundError, match="there is no me/mine on the Hub"):
        load_detector("me/mine")
    hub.folder("me/mine").mkdir()
    with pytest.raises(FileNotFoundError, match="me/mine has no such revision"):
        load_detector("me/mine@v3")


def test_weights_of_another_kind_of_model_are_not_even_fetched(hub: FakeHub, tiny_bundle: Path) -> None:
    repo = Path(shutil.copytree(tiny_bundle, hub.folder("them/latent")))
    parts = {"unet": ["diffusers", "UNet2DModel"], "vqvae": ["diffusers", "VQModel"], "safety": [None, None]}
    (repo / "model_index.json").write_text(json.dumps({"_class_name": "LDMPipeline"} | parts))
    with pytest.raises(ValueError, match="LDMPipeline that also needs vqvae"):
        load_detector("them/latent")
    assert not [name for name in hub.fetched if name.endswith(".safetensors")]


def test_of_a_latent_model_only_what_is_read_is_fetched(hub: FakeHub) -> None:
    latents = pytest.importorskip("helpers.latents", reason="latent diffusion needs transformers")
    pytest.importorskip("transformers")
    repo = Path(shutil.copytree(latents.shared_latent(), hub.folder("them/sd")))
    kept = names_in(repo)
    others = (
        "v1-5-pruned.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.bin",
    )
    for name in (
        *others,
        "safety_checker/model.safetensors",
        "text_encoder/model.fp16.safetensors",
        "tokenizer/run.py",
    ):
        (repo / name).parent.mkdir(exist_ok=True)
        (repo / name).write_bytes(b"not for us")
    found = load_detector("them/sd", device="cpu")
    assert set(hub.fetched) == kept
    assert found.info["prompt"] == ""
    (repo / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    shutil.rmtree(hub.cache)
    with pytest.raises(
        FileNotFoundError, match=r"them/sd holds no VAE weights in safetensors .*\.bin file is a pickle"
    ):
        load_detector("them/sd", device="cpu")


def test_a_model_that_was_taken_down_is_named_with_its_copy(hub: FakeHub) -> None:
    with pytest.raises(
        FileNotFoundError, match="taken down; a copy of it is stable-diffusion-v1-5/stable-diffusion-v1-5"
    ):
        load_detector("runwayml/stable-diffusion-v1-5")


def test_local_folders_need_no_hub(no_network: None, old_pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("the Hub was asked")

    monkeypatch.setattr("huggingface_hub.snapshot_download", never)
    assert load_detector(old_pipeline, device="cpu").chosen is None
    assert load_detector(shared_bundle(), device="cpu").chosen == CHOSEN
    with pytest.raises(FileNotFoundError, match="give a bundle folder"):
        load_detector(old_pipeline / "absent")


# --- pipelines of other people ---------------------------------------------------------------------------------


def test_the_oldest_layout_opens_with_its_own_weights_and_schedule(
    old_pipeline: Path, tiny_unet: Callable[..., Any]
) -> None:
    detector = load_detector(old_pipeline, device="cpu")
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = tiny_unet(sample_size=32)(x, 100).sample
    torch.testing.assert_close(detector.eps_model(x, 100), expected, rtol=1e-4, atol=1e-5)
    betas = np.linspace(0.0001**0.5, 0.02**0.5, 400) ** 2
    assert detector.schedule.alpha_bar == pytest.approx(np.cumprod(1 - betas), rel=1e-4)


def test_an_old_pipeline_is_copied_then_calibrated_and_opens_everywhere(
    old_pipeline: Path, images_npz: Path, tmp_path: Path
) -> None:
    from diffusers import DDPMPipeline

    before, out = names_in(old_pipeline), tmp_path / "bundle"
    made = tmp_path / "generated"
    sampling = ("count=12", "steps=2", "sampler=ddim", "batch_size=12", "device=cpu")
    settings = (f"detector={old_pipeline}", f"out={made}", *sampling)
    code, said = run("generate", *[part for setting in settings for part in ("--set", setting)])
    assert code == 0, said
    settings = (f"detector={old_pipeline}", f"out={out}", f"real={images_npz}", f"generated={made / 'images.npz'}")
    settings += ("ks=100", "loss_ts=20", "device=cpu")
    code, said = run("calibrate", *[part for setting in settings for part in ("--set", setting)])
    assert code == 0, said
    assert f"done: {out}" in said
    assert names_in(old_pipeline) == before  # nothing was written there
    detector = load_detector(out, device="cpu")
    assert set(detector.stat) == {(100, 100), (100, 200), (100, 300)}
    assert detector.chosen in detector.stat
    assert detector.info["checkpoint_sha256"] == checkpoint_hash(old_pipeline)
    assert detector.info["stat"]["generated_by"]["cross_checkpoint"] is False
    pipeline: Any = DDPMPipeline.from_pretrained(out)
    assert pipeline.scheduler.config.num_train_timesteps == 400
    image = pictures(1)[0]
    theirs, ours = (load_detector(folder, device="cpu").inspect(image, k=100).trace for folder in (old_pipeline, out))
    assert theirs.curve == ours.curve


def test_the_hubs_cache_is_never_written_to(hub: FakeHub, images_npz: Path, old_pipeline: Path, tmp_path: Path) -> None:
    shutil.copytree(old_pipeline, hub.folder("them/ddpm"))
    settings = [
        "detector=them/ddpm",
        f"real={images_npz}",
        f"generated={images_npz}",
        "ks=200",
        "loss_ts=",
        "device=cpu",
    ]
    arguments = [part for setting in settings for part in ("--set", setting)]
    code, said = run("calibrate", *arguments)
    assert code == 1
    assert "them/ddpm lies in the Hub's cache, which is left as it is: name a folder for the results with --set" in said
    cached = names_in(hub.cache)
    with pytest.raises(ValueError, match="lies in the Hub's cache"):
        own_folder(next(hub.cache.rglob("model_index.json")).parent)  # its path is no way round
    for _ in range(2):  # the second time the copy is there
        code, said = run("calibrate", *arguments, "--set", f"out={tmp_path / 'out'}")
        assert code == 0, said
    for command in ("train-nn", "sweep"):
        code, said = run(command, *arguments[:6], "--set", "device=cpu")
        assert code == 1
        assert "lies in the Hub's cache" in said
    code, said = run("sweep", *arguments[:8], "--set", "device=cpu", "--set", f"out={tmp_path / 'sweep'}")
    assert code == 0, said
    assert (tmp_path / "sweep" / "sweep.json").is_file()
    shutil.copytree(tmp_path / "out", hub.folder("me/calibrated"))
    for name, seed in (("heldout", 1), ("generated", 2)):
        np.savez(tmp_path / f"{name}.npz", images=pictures(12, seed))
    test = [
        "detector=me/calibrated",
        *(f"{name}={tmp_path}/{name}.npz" for name in ("heldout", "generated")),
        "device=cpu",
    ]
    arguments = [part for setting in test for part in ("--set", setting)]
    code, said = run("evaluate", *arguments)
    assert code == 1
    assert "lies in the Hub's cache" in said
    code, said = run("evaluate", *arguments, "--set", f"out={tmp_path / 'results.json'}")
    assert code == 0, said
    assert not [name for name in names_in(hub.cache) if "results" in name]
    assert {name for name in names_in(hub.cache) if "--ddpm" in name} == cached
    assert load_detector(tmp_path / "out", device="cpu").chosen == (200, 200)


def test_a_copy_overwrites_nothing(old_pipeline: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "thesis.txt").write_text("important")
    for folder in (taken, Path(shutil.copytree(shared_bundle(), tmp_path / "other"))):
        before = names_in(folder)
        with pytest.raises(ValueError, match="holds something other than a copy of"):
            own_folder(old_pipeline, folder)
        assert names_in(folder) == before
    (old_pipeline / "scheduler_config.json").unlink()
    with pytest.raises(ValueError, match=r"scheduler in .* cannot be loaded"):
        own_folder(old_pipeline, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ("fp16.safetensors", r"me/odd holds no U-Net weights .* but only the variant fp16 .* variant='fp16'"),
        ("bin", r"me/odd holds no U-Net weights in safetensors .*its \.bin file is a pickle"),
    ],
)
def test_a_repository_without_weights_that_are_fetched_is_told_what_it_has(
    kept: str, said: str, hub: FakeHub, tiny_bundle: Path
) -> None:
    folder = hub.folder("me/odd")
    shutil.copytree(tiny_bundle, folder)
    (folder / "unet" / "diffusion_pytorch_model.safetensors").rename(
        folder / "unet" / f"diffusion_pytorch_model.{kept}"
    )
    with pytest.raises(FileNotFoundError, match=said):
        load_detector("me/odd")
    assert not [name for name in hub.fetched if name.endswith(kept)]  # it is not fetched for that


def test_pickled_weights_are_refused_in_words(old_pipeline: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    for folder, part in ((old_pipeline, "."), (Path(shutil.copytree(tiny_bundle, tmp_path / "new")), "unet")):
        weights = folder / part / "diffusion_pytorch_model.safetensors"
        weights.rename(weights.with_suffix(".bin"))
        with pytest.raises(FileNotFoundError, match=r"no U-Net weights in safetensors .* is a pickle"):
            load_detector(folder)


@pytest.mark.parametrize("name", ["../../elsewhere.safetensors", "weights.bin", 7])
def test_an_index_names_only_safetensors_beside_it(tiny_bundle: Path, tmp_path: Path, name: Any) -> None:
    folder = Path(shutil.copytree(tiny_bundle, tmp_path / "copy"))
    index = folder / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": {"conv_in.weight": name}}))
    with pytest.raises(ValueError, match="cannot be loaded"):
        load_detector(folder)


def test_the_shipped_detector_could_be_published(hub: FakeHub) -> None:
    found = publish(SHIPPED, "me/cifar10", dry_run=True)
    assert {"README.md", "model_index.json", "sedid/detector.json", "sedid/results.json"} <= set(found.files)
    assert max(found.files.values()) < 9e6
