"""One set of images through every form that states a verdict: all say the same, and it is what the rule, written out
here once more, says."""

import base64
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import cached_property
from html import unescape
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from helpers.bundles import shared_bundle
from helpers.fakes import make_apart, make_image, ramp
from PIL import Image
from typer.testing import CliRunner

import sedid
from sedid import cli, ui
from sedid.detector.csv_file import score_files
from sedid.detector.detector import Call, Detector, Inspection, Judgement
from sedid.detector.stability import Stability, check
from sedid.detector.tiles import PatchMap, score_patches
from sedid.detector.words import as_dict
from sedid.paths import ROOT
from sedid.progress import finish
from sedid.report import evidence
from sedid.report.case import case_report, examine, patches_dict, stability_dict
from sedid.studies.evaluate import verdict_shares
from sedid.studies.generalise import table_row
from sedid.studies.reference_scores import Gallery, judged, stated_by
from sedid.studies.robustness import RobustnessConfig, robustness_of
from sedid.studies.study import Study
from sedid.training.scoring import Scores, score
from sedid.ui.context import Context
from sedid.ui.gallery import pair as pair_gallery
from sedid.ui.gallery import reference as gallery_reference
from sedid.ui.gallery import view as gallery_view
from sedid.ui.gallery.many import Batch
from sedid.ui.gallery.many_view import batch_html
from sedid.ui.html import render
from sedid.ui.inspect import resave_panel
from sedid.ui.inspect.view import sections
from sedid.ui.known import Known
from sedid.ui.learn import quiz, verdicts

COUNT = 24
K, STAT, NN = 165, (165, 330), (165, 495)
SAID = {
    "Looks generated": Call.GENERATED,
    "Looks real": Call.REAL,
    "Cannot tell": Call.UNDECIDED,
    "Outside the calibrated range": Call.OUTSIDE,
}
"""What the page says -> what it means."""
Calls = tuple[str, str]
"""Of STAT and of NN."""


def crafted(images: np.ndarray) -> tuple[Detector, Scores, np.ndarray]:
    """A detector that says all four things about these images by both methods, and their scores.

    STAT judges at T_SEC = 330 and NN at 495: an image may be outside the range of the one and inside that of the other.
    """
    plain = make_apart()
    scores, probabilities = finish(score(plain, images, [K], batch_size=1))
    assert probabilities is not None
    stat = {}
    for pair, (low, high) in ((STAT, (0.15, 1)), (NN, (0, 0.85))):
        ends = np.quantile(scores[pair], (low, high)) + ((0, 1) if pair == STAT else (-1, 0))
        band = np.quantile(scores[pair], (0.35, 0.65))
        references = {"real": ramp(*ends), "generated": ramp(*ends)}
        stat[pair] = replace(
            plain.stat[pair], threshold=float(band.mean()), band=(float(band[0]), float(band[1])), **references
        )
    assert plain.nn is not None
    band = np.quantile(probabilities, (0.35, 0.65))
    nn = replace(plain.nn, threshold=float(band.mean()), band=(float(band[0]), float(band[1])))
    return replace(plain, stat=stat, nn=nn), scores, probabilities


def literal(detector: Detector, scores: Scores, probabilities: np.ndarray) -> Iterator[Calls]:
    """What may be said of each image, from the scores alone, written out."""

    def outside(pair: tuple[int, int], place: int) -> bool:
        made = detector.stat[pair]
        return not made.real[0] <= scores[pair][place] <= made.real[-1]

    stat, nn = detector.stat[STAT], detector.nn
    assert nn is not None
    for place, probability in enumerate(probabilities):
        error = scores[STAT][place]
        by_stat = "generated" if error <= stat.band[0] else "real" if error >= stat.band[1] else "cannot tell"
        by_nn = "real" if probability <= nn.band[0] else "generated" if probability >= nn.band[1] else "cannot tell"
        beyond = [outside(STAT, place), outside(STAT, place) or outside(NN, place)]
        said = ["outside the calibrated range" if out else by for out, by in zip(beyond, (by_stat, by_nn), strict=True)]
        yield said[0], said[1]


@dataclass(frozen=True)
class Case:
    """The detector, the images as arrays and files, and what may be said of them."""

    detector: Detector
    images: np.ndarray
    files: list[Path]
    scores: Scores
    probabilities: np.ndarray
    expected: list[Calls]

    @cached_property
    def inspections(self) -> list[Inspection]:
        return [self.detector.inspect(file) for file in self.files]

    @cached_property
    def judgements(self) -> list[Judgement]:
        return [found.judgement for found in self.inspections]

    @cached_property
    def context(self) -> Context:
        return Context(lambda: self.detector)

    @cached_property
    def endpoints(self) -> dict[str, Callable[..., Any]]:
        """What the API and the MCP tools call: the app's own functions by their name."""
        return {
            one.api_name: one.fn for one in ui.build_demo(self.context).fns.values() if isinstance(one.api_name, str)
        }

    @cached_property
    def batch(self) -> Batch:
        made = Batch(self.detector, self.files)
        while not made.done:
            made.advance(self.context.traces.judge)
        return made

    @cached_property
    def tiles(self) -> PatchMap:
        """The images as tiles of one picture, in their order."""
        rows = [np.concatenate(list(self.images[start : start + 6]), 1) for start in range(0, COUNT, 6)]
        return score_patches(self.detector, np.concatenate(rows))

    @cached_property
    def checks(self) -> list[Stability]:
        return [check(self.detector, image) for image in self.images]

    @cached_property
    def shares(self) -> list[dict[str, float]]:
        """Of STAT and of NN."""
        return [
            {call: Counter(calls)[call] / COUNT for call in map(str, Call)}
            for calls in zip(*self.expected, strict=True)
        ]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    images = np.stack([make_image(seed) for seed in range(COUNT)])
    detector, scores, probabilities = crafted(images)
    folder = tmp_path_factory.mktemp("forms")
    files = [folder / f"{place:02}.png" for place in range(COUNT)]
    for image, file in zip(images, files, strict=True):
        Image.fromarray(image).save(file)
    yield Case(detector, images, files, scores, probabilities, list(literal(detector, scores, probabilities)))
    torch.set_num_threads(threads)


def plain(words: str) -> str:
    """HTML as text."""
    return unescape(re.sub(r"<[^>]+>", "", words))


def pairs(said: list[str]) -> list[Calls]:
    """STAT and NN in turn -> image by image."""
    return list(zip(said[::2], said[1::2], strict=True))


# --- the forms: each gives what is said of every image ---------------------------------------------------------------


def of_python(case: Case) -> list[Calls]:
    return [(one.stat.call, one.nn.call) for one in case.judgements if one.stat and one.nn]


def of_stored_scores(case: Case) -> list[Calls]:
    detector, nn = case.detector, case.detector.nn
    assert nn is not None
    found = [detector.verdicts(made, values, case.scores) for made, values in ((detector.stat[STAT], case.scores[STAT]), (nn, case.probabilities))]  # fmt: skip
    return [(stat.call, neural.call) for stat, neural in zip(*found, strict=True)]


def of_cards(case: Case) -> list[Calls]:
    drawn = "".join(sections(case.detector, found.trace, found.judgement).verdicts for found in case.inspections)
    return pairs([SAID[words] for words in re.findall(r'<span class="sed-call">(.*?)</span>', drawn, re.DOTALL)])


def of_gallery(case: Case) -> list[Calls]:
    half = COUNT // 2
    parts = {"real": slice(0, half), "generated": slice(half, COUNT)}
    images = {label: case.images[part] for label, part in parts.items()}
    scores = {label: {pair: values[part] for pair, values in case.scores.items()} for label, part in parts.items()}
    probabilities = {label: case.probabilities[part] for label, part in parts.items()}
    found = Gallery(stated_by(case.detector, images), scores, probabilities)
    rows = judged(found, case.detector, images)
    reference = gallery_reference.make_reference(case.detector, images, found)
    for call in Call:  # the filters find them
        if call in (Call.UNDECIDED, Call.OUTSIDE):
            for method, field in (("stat", "stat"), ("nn", "nn")):
                assert reference.chosen(verdict=f"{method} {call}") == [
                    place for place, row in enumerate(rows) if getattr(row, field) == call
                ]
    said = [re.findall(r"says ([a-z ]+)", gallery_view.in_words(row)) for row in rows]
    shown = gallery_view.grid(reference, list(range(COUNT)), 0, gallery_view.INSPECT)
    for row in rows:
        assert f"STAT says {row.stat}" in shown
    return [(one[0], one[1]) for one in said]


def of_many_files(case: Case) -> list[Calls]:
    cells = re.findall(r'data-name="(?:STAT|NN)">(.*?)</td>', batch_html(case.batch))
    return pairs([plain(cell) for cell in cells])


def of_two_images(case: Case) -> list[Calls]:
    found = []
    for place in range(0, COUNT, 2):
        two = case.inspections[place : place + 2]
        sides = [pair_gallery.Side(case.images[place + i], "x") for i in range(2)]
        t_sec = two[0].judgement.t_sec
        drawn = pair_gallery.comparison(case.detector, sides, [one.trace for one in two], t_sec)
        words = [SAID[one] for one in re.findall(r'<b class="sed-ink-[\w-]+">(.*?)</b>', drawn)]
        found += [(words[0], words[2]), (words[1], words[3])]
    return found


def of_quiz(case: Case) -> list[Calls]:
    found = []
    for one in case.inspections:
        sample = quiz.Sample(one.trace.image[None], np.array([False]), Known({}))
        record = quiz.Record.new().after("real", one.judgement, "real")
        drawn = quiz.reveal(case.detector, sample, one.trace, one.judgement, "real", "real", record)
        words = [SAID[word] for word in re.findall(r"<strong>(.*?)</strong>", drawn)]
        for word, tally in zip(words, (record.stat, record.nn), strict=True):
            assert tally == quiz.Tally(int(word in ("real", "generated")), int(word == "real"))
        found += words
    return pairs(found)


def of_lesson(case: Case) -> list[Calls]:
    drawn = "".join(map(verdicts.calls, case.judgements))
    return pairs([SAID[words] for words in re.findall(r"<strong>(.*?)</strong>", drawn)])


def of_tiles(case: Case) -> list[Calls]:
    tiles = case.tiles
    told = re.findall(r'title="Tile ([^"]+)"', evidence.patch_part(tiles, "", live=False))
    said = [re.search(r"STAT ([a-z ]+?); NN ([a-z ]+?) \(", one) for one in told]
    found = {words.lower(): call for words, call in SAID.items()}
    for method, of_method in (("STAT", 0), ("NN", 1)):
        assert tiles.calls(method) == Counter(one[of_method] for one in case.expected)
        assert tiles.share_generated(method) == case.shares[of_method]["generated"]
    assert [(one["stat_verdict"], one["nn_verdict"]) for one in patches_dict(tiles)["tiles"]] == case.expected
    return [(found[one[1]], found[one[2]]) for one in said if one]


def of_stability(case: Case) -> list[Calls]:
    found = []
    for made in case.checks:
        drawn = re.findall(r'<td class="sed-ink-[\w-]+"><b>(.*?)</b>', evidence.stability_part(made))
        outcomes = [made.outcome(method) for method in ("STAT", "NN")]
        first = stability_dict(made)["versions"][0]
        assert [SAID[words] for words in drawn[:2]] == [outcome.call for outcome in outcomes if outcome]
        assert [first["stat_verdict"], first["nn_verdict"]] == [outcome.call for outcome in outcomes if outcome]
        found += [outcome.call for outcome in outcomes if outcome]
    return pairs(found)


def of_resaving(case: Case) -> list[Calls]:
    drawn = "".join(render("resaved_table.html", **resave_panel.table(one, one)) for one in case.judgements)
    words = re.findall(r'<td class="sed-ink-[\w-]+"><b>(.*?)</b>', drawn)
    return pairs([SAID[word] for word in words[::2]])  # as it is, and changed


def run(case: Case, *words: object) -> str:
    """What a command prints."""
    with patch.object(cli, "open_detector", lambda *_: case.detector):
        done = CliRunner().invoke(cli.app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.stdout


def of_json(case: Case) -> list[Calls]:
    found = [json.loads(run(case, "inspect", file, "--json")) for file in case.files]
    for one, judgement in zip(found, case.judgements, strict=True):
        assert (one["stat"]["side"], one["nn"]["side"]) == sides(judgement)
        for method in ("stat", "nn"):
            assert bool(one[method]["why"]) == (one[method]["verdict"] in (Call.UNDECIDED, Call.OUTSIDE))
    return [(one["stat"]["verdict"], one["nn"]["verdict"]) for one in found]


def of_text(case: Case) -> list[Calls]:
    said = "\n".join(run(case, "inspect", file) for file in case.files)
    return pairs([words for _, words in re.findall(r"^(STAT|NN)[^:\n]*: ([a-z ]+)", said, re.MULTILINE)])


def sides(judgement: Judgement) -> Calls:
    assert judgement.stat
    assert judgement.nn
    return judgement.stat.side, judgement.nn.side


def of_rows(case: Case, text: str) -> list[Calls]:
    """A table as CSV."""
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["stat_side"], row["nn_side"]) for row in rows] == list(map(sides, case.judgements))
    return [(row["stat_verdict"], row["nn_verdict"]) for row in rows]


def of_csv(case: Case) -> list[Calls]:
    out = case.files[0].parent / "scores.csv"
    run(case, "score", *case.files, "--out", out)
    return of_rows(case, out.read_text(encoding="utf-8"))


def of_csv_of_the_page(case: Case) -> list[Calls]:
    return of_rows(case, case.batch.table())


def payload(file: Path) -> dict[str, str]:
    sent = base64.b64encode(file.read_bytes()).decode()
    return {"path": str(file), "url": f"data:;base64,{sent}", "orig_name": file.name}


def of_api(case: Case) -> list[Calls]:
    found = [case.endpoints["inspect"](payload(file)) for file in case.files]
    assert [one["stat"] for one in found] == [as_dict("", one, case.detector)["stat"] for one in case.inspections]
    return [(one["stat"]["verdict"], one["nn"]["verdict"]) for one in found]


def of_api_batch(case: Case) -> list[Calls]:
    rows = case.endpoints["score_batch"]([payload(file) for file in case.files])["rows"]
    return [(row["stat"]["verdict"], row["nn"]["verdict"]) for row in rows]


def of_api_sweep(case: Case) -> list[Calls]:
    """STAT alone: NN stands in no row of it."""
    swept = [case.endpoints["sweep"](payload(file))["rows"] for file in case.files]
    said = [row["stat"]["verdict"] for rows in swept for row in rows if row["t_sec"] == STAT[1]]
    return [(stat, nn) for stat, (_, nn) in zip(said, case.expected, strict=True)]


def of_case_report(case: Case) -> list[Calls]:
    found = []
    for one, file in zip(case.inspections, case.files, strict=True):
        extras = examine(case.detector, one, file)
        report = case_report(case.detector, one, file.name, extras)
        said = re.findall(r"(?:STAT|NN) score</dt><dd>[^,]+, ([a-z ]+)", report)
        raw = re.search(r'<pre id="case-json">(.*?)</pre>', report, re.DOTALL)
        assert raw
        read = json.loads(unescape(raw[1]))
        assert [read["stat"]["verdict"], read["nn"]["verdict"]] == said
        assert [SAID[words] for words in re.findall(r'<span class="sed-call">(.*?)</span>', report, re.DOTALL)] == said
        found += said
    return pairs(found)


def of_example(document: str, marker: str) -> Callable[[Case], list[Calls]]:
    """The first example in Python of a document that asks for a verdict: STAT's, which it prints first."""

    def printed(case: Case) -> list[Calls]:
        text = (ROOT / document).read_text(encoding="utf-8")
        code = next(code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if marker in code)
        found = []
        for file, (_, nn) in zip(case.files, case.expected, strict=True):
            asked = re.sub(r'"assets/examples/[\w-]+\.png"', repr(str(file)), code)
            out = io.StringIO()
            with patch.object(sedid, "load_detector", lambda: case.detector, create=True), redirect_stdout(out):
                exec(asked, {})
            said = next(call for call in Call if out.getvalue().startswith(call))
            found.append((str(said), nn))
        return found

    return printed


FORMS: dict[str, Callable[[Case], list[Calls]]] = {
    "Python": of_python,
    "stored scores": of_stored_scores,
    "verdict cards": of_cards,
    "gallery": of_gallery,
    "many files": of_many_files,
    "two images": of_two_images,
    "quiz": of_quiz,
    "lesson": of_lesson,
    "tiles": of_tiles,
    "stability": of_stability,
    "re-saving": of_resaving,
    "inspect --json": of_json,
    "inspect": of_text,
    "score": of_csv,
    "CSV of the page": of_csv_of_the_page,
    "API and MCP: inspect": of_api,
    "API and MCP: score_batch": of_api_batch,
    "API and MCP: sweep": of_api_sweep,
    "case report": of_case_report,
    "README's example": of_example("README.md", ".judgement.stat"),
    "quick start's example": of_example("docs/quickstart.md", ".judgement.stat"),
}


def test_the_set_holds_every_verdict_of_both_methods_and_a_side_that_may_not_be_said(case: Case) -> None:
    for of_method in (0, 1):
        assert {calls[of_method] for calls in case.expected} == set(Call)
    outside = [one.stat for one in case.judgements if one.stat and one.stat.call == Call.OUTSIDE]
    assert {verdict.side for verdict in outside} & {Call.REAL, Call.GENERATED}
    assert any(stat != Call.OUTSIDE and nn == Call.OUTSIDE for stat, nn in case.expected)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_the_same(case: Case, form: str) -> None:
    assert FORMS[form](case) == case.expected


# --- shares in results files ----------------------------------------------------------------------------------------


def test_results_files_count_the_same(case: Case, tmp_path: Path) -> None:
    stat, nn = case.shares
    assert verdict_shares(case.detector, case.scores, case.images) == stat
    row = table_row(
        case.detector, case.scores, case.scores, (case.probabilities, case.probabilities), False, case.images
    )
    assert row.verdicts == stat
    sets = {"real": case.images, "generated": case.images}
    study = Study(RobustnessConfig(detector="x", perturbations=("flip",)), shared_bundle(), case.detector, tmp_path)
    clean = finish(robustness_of(study, sets)).rows[0].methods
    assert clean["stat"].verdicts == {"real": stat, "generated": stat}
    assert clean["nn"].verdicts == {"real": nn, "generated": nn}


# --- a score that is no number --------------------------------------------------------------------------------------


class Broken:
    """A network, or a classifier, that answers with nothing."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape

    def __call__(self, x: torch.Tensor, *_: Any) -> torch.Tensor:
        return torch.full((len(x), *self.shape), float("nan"))


@pytest.mark.parametrize("part", ["classifier", "network"])
def test_a_score_that_is_no_number_is_said_to_be_none_and_breaks_no_form(case: Case, part: str, tmp_path: Path) -> None:
    broken: Any = {"network": Broken(1)} if part == "classifier" else {"eps_model": Broken(3, 32, 32)}
    detector, file = replace(case.detector, **broken), case.files[0]
    found = detector.inspect(file)
    stat, nn = found.judgement.stat, found.judgement.nn
    assert stat
    assert nn
    name, verdict = ("nn", nn) if part == "classifier" else ("stat", stat)
    drawn, said = sections(detector, found.trace, found.judgement), as_dict(str(file), found, detector)
    assert verdict.call == Call.UNDECIDED
    assert json.loads(json.dumps(said, allow_nan=False)) == said
    assert (said[name]["verdict"], said[name]["score"]) == ("cannot tell", None)
    assert "not a finite number" in said[name]["why"]
    assert "<b>not a finite number</b>" in drawn.verdicts
    assert "Cannot tell" in drawn.verdicts
    report = case_report(detector, found, file.name)
    assert re.search(r"cannot tell(, at its own T_SEC 495)?: the score is not a finite number", plain(report))
    finish(score_files(detector, [str(file)], tmp_path / "out.csv"))
    [row] = csv.DictReader((tmp_path / "out.csv").open(encoding="utf-8"))
    assert row[f"{name}_verdict"] == "cannot tell"
    checked, tiles = check(detector, case.images[0]), score_patches(detector, case.images[0])
    json.dumps([stability_dict(checked), patches_dict(tiles)], allow_nan=False)
    evidence.stability_part(checked)
    evidence.patch_part(tiles, "")


@pytest.mark.parametrize(("document", "marker"), [("README.md", ".judgement.stat"), ("docs/quickstart.md", ".judgement.stat")])  # fmt: skip
def test_the_examples_run_on_a_detector_without_a_calibration(case: Case, document: str, marker: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    code = next(code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if marker in code)
    bare = replace(case.detector, stat={}, chosen=None, nn=None, network=None)
    out = io.StringIO()
    with patch.object(sedid, "load_detector", lambda: bare, create=True), redirect_stdout(out):
        exec(re.sub(r'"assets/examples/[\w-]+\.png"', repr(str(case.files[0])), code), {})
    assert re.search(r"\d", out.getvalue())
    assert not any(call in out.getvalue() for call in Call)
