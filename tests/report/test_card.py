"""A model card's front matter: what the Hub reads of it is what was measured."""

from pathlib import Path

import pytest
from helpers.bundles import tiny_bundle
from helpers.results import write_evaluation
from huggingface_hub import ModelCard

from sedid.paths import CHECKPOINTS
from sedid.report.card import front_matter
from sedid.storage import read_json, write_json

SHIPPED = sorted(file.parents[1] for file in CHECKPOINTS.glob("*/sedid/results.json"))


def told(card: ModelCard) -> dict[str, float]:
    """Metrics of a card as the Hub's own reader finds them, by their names."""
    assert card.data.license == "mit"
    assert card.data.library_name == "diffusers"
    return {result.metric_name: result.metric_value for result in card.data.eval_results}


def figures(folder: Path) -> list[float]:
    """AUC and accuracy of both verdicts against held-out reals, from the results file, with the card's decimals."""
    results = read_json(folder / "sedid" / "results.json")
    stat = next(row for row in results["stat"]["heldout"] if row["chosen"])
    return [round(row[name], 4) for row in (stat, results["nn"]["heldout"]) for name in ("auc", "acc")]


def test_the_hub_reads_what_was_measured(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "a: [b] \u00e9")  # a name that YAML has to quote
    write_evaluation(bundle / "sedid", 60)
    card = ModelCard(f"---\n{front_matter(bundle).to_yaml()}\n---\n")
    assert {result.dataset_type for result in card.data.eval_results} == {bundle.name}
    metrics = told(card)
    assert list(metrics.values()) == figures(bundle)
    assert [name.split(" (")[0] for name in metrics] == [
        f"{verdict}, {words}"
        for verdict in ("STAT", "NN")
        for words in ("AUC", "balanced accuracy at the calibrated threshold")
    ]


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_the_shipped_cards_tell_their_results(folder: Path) -> None:
    assert list(told(ModelCard.load(folder / "README.md")).values()) == figures(folder)


def test_a_metric_that_is_no_number_is_refused(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    write_evaluation(bundle / "sedid", 60)
    file = bundle / "sedid" / "results.json"
    results = read_json(file)
    results["nn"]["heldout"]["auc"] = "0.99\n# not mine"
    write_json(file, results)
    with pytest.raises(ValueError, match="is not a results file of `python -m sedid evaluate`"):
        front_matter(bundle)
