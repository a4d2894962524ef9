"""Defences: three models that differ in nothing else, measured alike, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sedid.recipes import defend as recipe
from sedid.recipes.defend import DefendConfig, defend, models
from sedid.recipes.stages import finished_stages
from sedid.report.defence import finding, load_defence, whole
from sedid.report.markdown import defence_block
from sedid.storage import read_arrays, read_json
from sedid.studies.defence import PEERS, SETS, DefenceResults, chance_level, pictures_file
from sedid.ui.train import view as train_view

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def config(tmp_path: Path, images_npz: Path, tiny_bundle: Path) -> DefendConfig:
    """Two steps of a tiny U-Net on 10 of 24 images."""
    return DefendConfig(
        out=str(tmp_path / "trial"),
        data=str(images_npz),
        start=str(tiny_bundle),
        members=10,
        test=10,
        generated=12,
        steps=2,
        batch_size=5,
        warmup_steps=0,
        cooldown_steps=0,
        k=330,
        sampler_steps=2,
        device="cpu",
    )


def test_three_models_are_trained_and_measured_alike(config: DefendConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    out, levels = Path(config.out), []
    monkeypatch.setattr(recipe, "chance_level", lambda *given: levels.append(given) or chance_level(*given))
    loop = defend(config)
    for record in loop:
        assert 0 <= record.done <= record.total
        if record.stage.endswith("generate with the regularised model"):
            loop.close()  # stopped half way
    assert "measure the undefended model" in finished_stages(out)
    partial = DefenceResults.read(out / "defence.json")
    assert [row.name for row in partial.rows] == ["undefended"]
    page = whole(*load_defence(out / "defence.json"))
    assert page.count("<img") == 1 + 2 * 2 * 2
    *_, found = run(config)
    assert found == DefenceResults.read(out / "defence.json")
    assert [row.name for row in found.rows] == list(models(config)) == ["undefended", "regularised", "augmented"]
    assert [row.settings for row in found.rows] == [
        {},
        {"weight_decay": 1.0, "dropout": 0.3},
        {"augment": ("randaugment", "cutout")},
    ]
    assert {row.views for row in found.rows} == {1.0}
    assert len({row.checkpoint_sha256 for row in found.rows}) == 3
    for row in found.rows:
        assert list(row.t_errors) == [330, 660, 990]
        assert tuple(row.peers) == PEERS
        assert row.made_by is not None
        assert not row.made_by.cross_checkpoint
        trained = read_json(out / row.name / "ddpm" / "config.json")
        assert (trained["batch_size"], trained["seed"]) == (5, 0)
    assert {name: of_set.count for name, of_set in found.images.items()} == dict(zip(SETS, (10, 10, 12), strict=True))
    assert found.rows[0] == partial.rows[0]
    assert found.chance is None  # 4 images are left
    assert len(levels) == 1  # once for all models
    pictures = read_arrays(pictures_file(out / "defence.json"))
    members = read_arrays(out / "splits" / "members.npz")["images"]
    assert np.array_equal(pictures["members"], members[:8])
    assert pictures["augmented_heldout_whole"].shape == (8, 32, 32, 3)
    page = whole(*load_defence(out / "defence.json"))
    block = defence_block(out / "defence.json")
    for row in found.rows:
        assert str(row.exposed[1]) in page
        assert f"{row.loss_heldout:.4f}" in page
        assert f"{row.loss_heldout:.4f}" in block
        assert all(str(told.membership) in block for told in row.t_errors.values())
    assert page.count("<img") == 3 + 2 * 2 * 4
    assert train_view.report_html(out).count('class="ch-svg"') == 1
    assert finding(found) in train_view.report_html(out)
    hostile = replace(found, rows=tuple(replace(row, name="<b>x") for row in found.rows))
    assert "<b>x" not in whole(hostile, {})


def run(config: DefendConfig) -> list:
    """Every record of a trial, and its results at the end."""
    found, loop = [], defend(config)
    while True:
        try:
            found.append(next(loop))
        except StopIteration as end:
            return [*found, end.value]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"members": 15}, "25 images"),
        ({"batch_size": 11}, "batch_size 11 is larger than the 10 members"),
        ({"heldout": "SAME"}, "held-out images are members, too"),
        ({"k": 0}, "k must be at least 1"),
    ],
)
def test_what_does_not_fit_is_a_sentence(config: DefendConfig, changed: dict, words: str) -> None:
    if changed.get("heldout"):
        changed = {"heldout": config.data, "members": 20}
    with pytest.raises(ValueError, match=words):
        run(replace(config, **changed))
    assert not (Path(config.out) / "undefended").exists()
