"""Sampling: no noise is left at any number of steps, and a set is the same however its parts were made."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.bundles import tiny_bundle
from torch import Tensor

from sedid.data.datasets import load_images
from sedid.detector.provenance import provenance
from sedid.models.schedules import make_scheduler
from sedid.progress import finish
from sedid.report.markdown import sampler_words
from sedid.storage import write_json
from sedid.studies.study import MadeBy
from sedid.training.generate import GenerateConfig, claim, generate, make_sampler, missing_of, sample, to_uint8

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
IMAGE = torch.linspace(-0.9, 0.9, 3 * 8 * 8).reshape(3, 8, 8)
KINDS = [("ddpm", "fixed_large"), ("ddpm", "fixed_small"), ("ddim", ""), ("dpm-solver++", "")]


def ideal(x: Tensor, t: int) -> Tensor:
    """The network that knows one image and nothing else: its eps is exact."""
    alpha_bar = make_scheduler().alphas_cumprod[t]
    return (x - alpha_bar.sqrt() * IMAGE) / (1 - alpha_bar).sqrt()


# 61 and 103: diffusers' own list of timesteps has one more, t = -1; 666, 7: its DDIM takes other ones than it is told
@pytest.mark.parametrize("steps", [1, 7, 10, 20, 50, 61, 100, 103, 250, 500, 666, 667, 1000])
@pytest.mark.parametrize(("name", "variance"), KINDS)
def test_no_noise_is_left_at_any_number_of_steps(name: str, variance: str, steps: int) -> None:
    sampler = make_sampler(name, make_scheduler(), steps, variance)
    assert len(sampler.timesteps) == steps
    assert (sampler.timesteps[0], sampler.variance) == (999, variance)
    x_0 = finish(sample(ideal, sampler, 8, range(2), 0, CPU))
    assert (x_0 - IMAGE).std().item() * 127.5 < 1e-3  # 8-bit levels


@pytest.mark.parametrize("variance", ["fixed_large", "fixed_small"])
def test_all_steps_are_the_whole_schedule(variance: str) -> None:
    """1,000 steps, images of which are being continued, are diffusers' own steps bit for bit."""
    from diffusers import DDPMScheduler

    from sedid.training.seeds import seed_of

    def shaky(x: Tensor, t: int) -> Tensor:
        return ideal(x, t) + 0.1 * torch.sin(7 * x)

    whole = DDPMScheduler.from_config(make_scheduler().config, variance_type=variance, timestep_spacing="trailing")
    whole.set_timesteps(1000)
    generators = [torch.Generator().manual_seed(seed_of(5, i)) for i in range(2)]
    x = torch.stack([torch.randn((3, 8, 8), generator=generator) for generator in generators])
    for t in whole.timesteps:
        x = whole.step(shaky(x, int(t)), t, x, generator=generators).prev_sample
    sampler = make_sampler("ddpm", make_scheduler(), 1000, variance)
    assert torch.equal(finish(sample(shaky, sampler, 8, range(2), 5, CPU)), x)


def test_the_variances_differ_and_the_default_is_the_schedulers_own() -> None:
    from diffusers import DDPMScheduler

    def images(sampler: object) -> np.ndarray:
        return to_uint8(finish(sample(lambda x, _: 0.5 * x, sampler, 8, range(2), 0, CPU)))  # type: ignore[arg-type]

    small = DDPMScheduler.from_config(make_scheduler().config, variance_type="fixed_small")
    found = {variance: images(make_sampler("ddpm", make_scheduler(), 20, variance)) for _, variance in KINDS[:2]}
    assert (found["fixed_large"] != found["fixed_small"]).any()
    assert (images(make_sampler("ddpm", make_scheduler(), 20)) == found["fixed_large"]).all()
    assert (images(make_sampler("ddpm", small, 20)) == found["fixed_small"]).all()


@pytest.mark.parametrize(
    ("name", "steps", "variance", "said"),
    [
        ("magic", 10, "", "unknown sampler 'magic'; accepted: ddpm, ddim"),
        ("ddpm", 1001, "", "steps must be between 1 and 1000, not 1001"),
        ("ddim", 10, "fixed_small", "variance is a setting of the sampler ddpm; ddim adds no noise"),
    ],
)
def test_what_a_sampler_does_not_have_is_refused(name: str, steps: int, variance: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make_sampler(name, make_scheduler(), steps, variance)


def test_a_variance_that_nothing_can_be_drawn_with_is_named() -> None:
    from diffusers import DDPMScheduler

    learned = DDPMScheduler.from_config(make_scheduler().config, variance_type="learned_range")
    with pytest.raises(ValueError, match="has the variance 'learned_range'; give variance=fixed_large or fixed_small"):
        make_sampler("ddpm", learned, 10)
    assert make_sampler("ddpm", learned, 10, "fixed_small").variance == "fixed_small"


# --- the set ---------------------------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path) -> GenerateConfig:
    """10 images in 2 ancestral steps."""
    bundle = tiny_bundle(tmp_path / "bundle", calibrated=False)
    return GenerateConfig(str(bundle), str(tmp_path / "set"), 10, "ddpm", 2, batch_size=5, device="cpu")


def manifest_of(config: GenerateConfig) -> dict[str, object]:
    return json.loads((Path(config.out) / "manifest.json").read_text())


def test_parts_of_any_sizes_make_one_set(config: GenerateConfig, tmp_path: Path) -> None:
    whole = load_images(finish(generate(config)), 32, None)
    mixed = replace(config, out=str(tmp_path / "mixed"), batch_size=3, count=7)
    finish(generate(mixed))
    parts = tmp_path / "mixed" / "parts"
    (parts / "0000003-0000006.npz").unlink()  # made nowhere yet
    done = []
    images = load_images(finish(generate(replace(mixed, count=10, batch_size=2)), done.append), 32, None)
    assert sorted(file.stem for file in parts.iterdir()) == [
        *("0000000-0000003", "0000003-0000005", "0000005-0000006", "0000006-0000007"),
        *("0000007-0000009", "0000009-0000010"),
    ]
    assert done[-1].total == 4 * 2  # batches of what was missing, alone
    assert np.abs(images.astype(int) - whole).max() <= 1
    assert (images != whole).mean() < 0.01
    assert manifest_of(mixed)["batch_sizes"] == [2, 3]
    finish(generate(replace(mixed, count=10, batch_size=1, precision="bf16")))  # nothing was missing
    assert (manifest_of(mixed)["precisions"], manifest_of(mixed)["batch_sizes"]) == (["fp32"], [2, 3])


def test_missing_images_are_counted_by_index(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    assert missing_of(tmp_path, 5, 2) == [range(2), range(2, 4), range(4, 5)]
    for name in ("0000001-0000003", "0000002-0000004", "0000007-0000030", "notes"):
        (parts / f"{name}.npz").touch()
    assert missing_of(tmp_path, 20, 2) == [range(1), range(4, 6), range(6, 7)]
    assert missing_of(tmp_path, 4, 50) == [range(1)]


def test_a_smaller_set_takes_the_first_images(config: GenerateConfig) -> None:
    whole = load_images(finish(generate(config)), 32, None)
    assert (load_images(finish(generate(replace(config, count=7))), 32, None) == whole[:7]).all()


def test_another_precision_goes_on_and_is_recorded(config: GenerateConfig) -> None:
    finish(generate(replace(config, count=5)))
    finish(generate(replace(config, precision="bf16")))
    assert manifest_of(config)["precisions"] == ["bf16", "fp32"]


@pytest.mark.parametrize(
    ("change", "named"), [({"variance": "fixed_small"}, "variance"), ({"seed": 1}, "seed"), ({"steps": 3}, "steps")]
)
def test_another_set_is_refused(config: GenerateConfig, change: dict, named: str) -> None:
    finish(generate(config))
    with pytest.raises(ValueError, match=rf"holds images made with other settings \({named}\)"):
        finish(generate(replace(config, **change)))


def test_a_manifest_of_an_earlier_version_is_of_the_schedulers_variance(config: GenerateConfig) -> None:
    finish(generate(replace(config, count=5)))
    file = Path(config.out) / "manifest.json"
    now = manifest_of(config)
    old = {name: value for name, value in now.items() if name not in ("variance", "precisions", "batch_sizes")}
    file.write_text(json.dumps(old | {"batch_size": 50, "precision": "bf16"}))
    found = provenance(f"{config.out}/images.npz[0:5]", Path(config.detector))
    assert found == old | {
        "variance": "fixed_large",
        "precisions": ["bf16"],
        "batch_sizes": [50],
        "cross_checkpoint": False,
    }
    made = MadeBy.of(found)
    assert made is not None
    assert sampler_words(made) == "ddpm, 2 steps, variance fixed_large"
    with pytest.raises(ValueError, match=r"other settings \(variance\)"):
        finish(generate(replace(config, variance="fixed_small")))
    finish(generate(config))
    assert manifest_of(config) == now | {"count": 10, "precisions": ["bf16", "fp32"], "batch_sizes": [5, 50]}


MANIFEST_VALUES = [None, True, -1, 1.5, 10**30, float("nan"), "x", [], [[1]], [{}], ["x", 1], {"a": {}}]


@pytest.mark.parametrize("value", MANIFEST_VALUES, ids=lambda value: repr(value)[:12])
def test_an_edited_manifest_is_taken_or_named_in_a_sentence(config: GenerateConfig, value: object) -> None:
    """By what goes on with the set, and by what measures it."""
    bundle, out = Path(config.detector), Path(config.out)
    stated = {"checkpoint_sha256": "a", "sampler": "ddpm", "steps": 2, "seed": 0, "variance": "fixed_large"}
    claim(out, stated, config, bundle)
    good, uses = manifest_of(config), (claim, lambda *_: provenance(f"{out}/images.npz", bundle))
    refused = set()
    for name in good:
        for edited in (good | {name: value}, {kept: good[kept] for kept in good if kept != name}):
            for use in uses:
                (out / "manifest.json").write_text(json.dumps(edited))
                try:
                    use(out, stated, config, bundle)
                except ValueError as error:
                    refused.add(name)
                    assert name in str(error), edited  # noqa: PT017
                    assert "\n" not in str(error), edited  # noqa: PT017
    assert {"sampler", "steps", "seed"} <= refused
    (out / "manifest.json").write_text(json.dumps(value))
    assert provenance(f"{out}/images.npz", bundle) == {}
    assert claim(out, stated, config, bundle) == [range(5), range(5, 10)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": 0}, "in 0 steps"),
        ({"steps": 1001}, r"says 1,001 steps, but the schedule of its model has 1,000"),
        ({"count": 1000}, r"speaks of 1,000 images, but .*images\.npz holds 5"),
    ],
)
def test_a_manifest_that_cannot_be_so_is_refused(config: GenerateConfig, change: dict[str, int], said: str) -> None:
    finish(generate(replace(config, count=5)))
    images = f"{config.out}/images.npz[0:3]"
    assert provenance(images, Path(config.detector))["steps"] == 2
    write_json(Path(config.out) / "manifest.json", manifest_of(config) | change)
    with pytest.raises(ValueError, match=said):
        provenance(images, Path(config.detector))


def test_images_of_unknown_origin_and_damaged_parts_are_named(config: GenerateConfig) -> None:
    finish(generate(config))
    part = Path(config.out) / "parts" / "0000000-0000005.npz"
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"0000000-0000005\.npz is damaged: delete it"):
        finish(generate(config))
    (Path(config.out) / "manifest.json").unlink()
    with pytest.raises(ValueError, match=r"holds images, but no manifest\.json says how they were made"):
        finish(generate(config))
