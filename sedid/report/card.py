"""A detector's results in words, written from files that commands wrote: its model card, and the README's tables."""

import re
from math import prod
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from sedid.detector import trained
from sedid.escaping import Markdown, for_markdown, markdown, read_markdown, written_by
from sedid.method import paper
from sedid.method.diffusion import pair_in_words
from sedid.models.folders import is_latent, network_name, network_weights
from sedid.paths import ASSETS
from sedid.report.markdown import (
    STUDIES,
    counts_line,
    defence_block,
    leak_line,
    posterior_line,
    results_table,
    sampler_words,
    setup_table,
    speed_table,
    splits_line,
    studies,
    summary_table,
    trials_table,
    verdict_table,
)
from sedid.storage import replacing, stored_tensors
from sedid.studies.evaluate import EvaluationResults, NNRow, StatRow
from sedid.studies.speed import SpeedResults
from sedid.training.trials import TrialsResults

BENCH = ASSETS / "bench.json"
METRICS = (
    ("auc", "roc_auc", "AUC"),
    ("acc", "accuracy", "balanced accuracy at the calibrated threshold"),
)
"""What the front matter tells of a verdict: the name in results.json, the Hub's, and in words."""


def measured(folder: Path) -> str:
    """What `evaluate` found of a bundle, as Markdown: counts, leak audit, the tables.

    Raises:
        FileNotFoundError: the bundle was not evaluated yet.
    """
    file = folder / "sedid" / "results.json"
    results, info = for_markdown(EvaluationResults.read(file)), read_markdown(folder / "sedid" / "detector.json")
    with written_by("evaluate", file):
        return _measured(folder, results, Markdown(info.get("training", {})))


def _measured(folder: Path, results: EvaluationResults, training: Markdown) -> str:
    data_set = paper.closest(folder.resolve().name, str(training.get("data", "")))
    parts = (
        f"{counts_line(results)} ACC is the balanced accuracy at the threshold of the calibration split; the bold STAT row is "
        "the pair chosen there. TPR@1 % is the highest TPR with at most 1 % of the reals called generated. Member reals are "
        "images the model was trained on. The baseline is the DDPM's training loss (Matsumoto et al. 2023), its timestep "
        "chosen on the calibration split too. The paper's ACC is the best one on its test images, its polarity always "
        "smaller for STAT.",
        leak_line(results.audit),
        splits_line(results.protocol.splits),
        results_table(results, data_set),
        "How often each STAT verdict falls at the chosen pair:",
        verdict_table(results),
        posterior_line(results.posterior),
        setup_table(results, training, (network_name(folder), parameters_of(folder)), data_set),
    )
    return "\n\n".join(part for part in parts if part)


def parameters_of(folder: Path) -> int:
    """How many parameters the network of a bundle has, by the headers of its weight files."""
    count = 0
    for file in network_weights(folder):
        with stored_tensors(file) as stored:
            count += sum(prod(stored.get_slice(name).get_shape()) for name in stored.keys())  # noqa: SIM118
    return count


def fill(file: Path, folder: Path) -> list[str]:
    """Write a bundle's results between their markers in a Markdown file.

    The markers are `<!-- NAME/results -->` and `<!-- /NAME/results -->`, where NAME is the bundle folder's and other names
    than "results" are those of studies. Between those of `all/summary` comes the table of all evaluated bundles beside it, between those of `all/trials`
    the one of trials.json beside them, between those of `all/speed` the one of the bench.json in assets/.

    Returns:
        The names of the blocks that were found.

    Raises:
        FileNotFoundError: the bundle was not evaluated yet.
    """
    whole, found, own = file.read_text(encoding="utf-8"), [], folder.resolve()
    beside = sorted(result.parents[1] for result in own.parent.glob("*/sedid/results.json"))
    blocks = {f"{own.name}/{block}": text for block, text in {"results": measured(folder), **studies(folder)}.items()}
    defence = folder / "sedid" / "defence.json"  # of models of its own, so it is no part of the card
    blocks |= {f"{own.name}/defence": defence_block(defence)} if defence.is_file() else {}
    blocks |= {"all/summary": summary_table(beside)}
    trials = own.parent / "trials.json"
    blocks |= {"all/trials": trials_table(for_markdown(TrialsResults.read(trials)))} if trials.is_file() else {}
    blocks |= {"all/speed": speed_table(for_markdown(SpeedResults.read(BENCH)))} if BENCH.is_file() else {}
    for name, text in blocks.items():
        marked = re.compile(rf"<!-- {re.escape(name)} -->\n.*?<!-- /{re.escape(name)} -->", re.DOTALL)
        filled = f"<!-- {name} -->\n{text}\n<!-- /{name} -->"
        whole, count = marked.subn(lambda _, filled=filled: filled, whole)  # type: ignore[misc]
        found += [name] if count else []
    if found:
        with replacing(file) as temporary:
            temporary.write_text(whole, encoding="utf-8")
    return found


def front_matter(folder: Path) -> ModelCardData:
    """What the Hub reads of a bundle's card: its kind, and both verdicts' AUC and accuracy on the held-out test images.

    Raises:
        FileNotFoundError: the bundle was not evaluated yet.
    """
    file, name = folder / "sedid" / "results.json", folder.resolve().name
    results = for_markdown(EvaluationResults.read(file))
    with written_by("evaluate", file):
        images, made = results.protocol.images, results.protocol.generated_by
        sampler = f" ({sampler_words(made)})" if made else ""
        rows: dict[str, StatRow | NNRow] = {"STAT": next(row for row in results.stat["heldout"] if row.chosen)}
        rows |= {"NN": results.nn["heldout"]} if results.nn else {}
        measured = [
            EvalResult(
                task_type="image-classification",
                task_name="Detection of images that this model generated",
                dataset_type=name,
                dataset_name=f"{images['generated'].count:,} generated images{sampler}, {images['heldout'].count:,} "
                "held-out real images",
                dataset_split="test",
                metric_type=kind,
                metric_name=f"{verdict}, {words} ({pair_in_words(row.k, row.t_sec)})",
                metric_value=round(float(getattr(row, key)), 4),
            )
            for verdict, row in rows.items()
            for key, kind, words in METRICS
        ]
    return ModelCardData(
        library_name="diffusers",
        pipeline_tag="text-to-image" if is_latent(folder) else "unconditional-image-generation",
        tags=["sedid", "image-forensics", "latent-diffusion" if is_latent(folder) else "ddpm"],
        license="mit",
        model_name=f"SeDID detector {name}",
        eval_results=measured,
    )


def write_card(folder: Path) -> None:
    """Write the bundle's README.md from its detector.json and sidecar results.

    Raises:
        FileNotFoundError: the bundle was not evaluated yet.
    """
    file = folder / "sedid" / "detector.json"
    info = read_markdown(file)
    with written_by("calibrate", file):
        text = _card(folder, info)
    with replacing(folder / "README.md") as temporary:
        temporary.write_text(text, encoding="utf-8")


def _card(folder: Path, info: Markdown) -> str:
    training, stat = info.get("training", {}), info["stat"]
    chosen = next(c for c in stat["calibrations"] if [c["k"], c["t_sec"]] == list(stat["chosen"]))
    lines = [
        "---",
        front_matter(folder).to_yaml(),
        "---",
        f"# SeDID detector {markdown(folder.resolve().name)}",
        "",
        f"{'A latent diffusion model' if is_latent(folder) else 'A DDPM'} and what was calibrated for it: it tells images that "
        "THIS model generated from real ones by the step-wise",
        "error of SeDID (arXiv 2307.06272). It knows nothing about other generators.",
        "",
        "## Training",
        "",
        *[f"- {line}" for line in trained.in_words(training)],
        "",
        "## Calibration",
        "",
        f"- STAT at k = {chosen['k']}, T_SEC = {chosen['t_sec']} ({stat['chosen_by']}): generated if the t-error is "
        f"{chosen['polarity']} than {chosen['threshold']:.5g}; no verdict between {chosen['band'][0]:.5g} and "
        f"{chosen['band'][1]:.5g} (at most {stat['error_rate']:.0%} of either calibration class lies beyond).",
        *[
            f"- calibration images, {kind}: {data['count']:,} (sha256 {data['sha256'][:12]})"
            for kind, data in stat["data"].items()
        ],
    ]
    if is_latent(folder):
        lines.append(
            "- The detector walks on latents, the mean of the posterior of its own VAE. It tells the network "
            + (
                f"the prompt `{info['prompt']}`."
                if info.get("prompt")
                else "the empty prompt, never anything about the picture."
            )
        )
    if "nn" in info:
        nn = info["nn"]["calibration"]
        lines.append(
            f"- NN at k = {nn['k']}, T_SEC = {nn['t_sec']}, input `{nn['input']}`, temperature {nn['temperature']:.3g}."
        )
    lines += [
        "",
        "## Measured",
        "",
        "Written by `python -m sedid evaluate`.",
        "",
        measured(folder),
        "",
    ]
    for command, text in studies(folder).items():
        lines += [f"## {STUDIES[command][0]}", "", f"From `sedid/{command}.json`.", "", text, ""]
    return "\n".join(lines)
