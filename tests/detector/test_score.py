"""Scoring many images into a CSV file."""

import csv
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.bundles import pictures
from helpers.bundles import shared_detector as detector
from PIL import Image

from sedid.detector.batches import judge_in_batches
from sedid.detector.csv_file import COLUMNS, score_files
from sedid.progress import Progress, finish

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images and a broken one, between them."""
    (tmp_path / "in").mkdir()
    for name, pixels in zip("acd", pictures(3, seed=3), strict=True):
        Image.fromarray(pixels).save(tmp_path / "in" / f"{name}.png")
    (tmp_path / "in" / "b.png").write_bytes(b"not an image")
    return tmp_path / "in"


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def test_rows_say_what_inspect_says(tmp_path: Path, folder: Path) -> None:
    out = tmp_path / "deep" / "scores.csv"
    summary = finish(score_files(detector(), [str(folder)], out, batch_size=3))
    assert (summary.judged, summary.failed, summary.file) == (3, 1, out)
    assert out.read_text(encoding="utf-8").startswith(
        "path,index,stat_score,stat_verdict,nn_probability,nn_verdict,t_sec,k,in_range,error,nn_t_sec,nn_in_range,stat_side,nn_side\n"
    )
    table = rows(out)
    assert [Path(row["path"]).name for row in table] == ["a.png", "b.png", "c.png", "d.png"]
    assert [row["index"] for row in table] == ["0", "1", "2", "3"]
    for row in (table[0], *table[2:]):
        found = detector().inspect(row["path"]).judgement
        assert found.stat is not None
        assert found.nn is not None
        assert float(row["stat_score"]) == pytest.approx(found.t_error, rel=1e-4)
        assert float(row["nn_probability"]) == pytest.approx(found.nn.score, abs=1e-4)
        assert (row["stat_verdict"], row["nn_verdict"]) == (found.stat.call, found.nn.call)
        assert (row["stat_side"], row["nn_side"]) == (found.stat.side, found.nn.side)
        assert (row["t_sec"], row["k"], row["error"]) == ("495", "165", "")
        assert row["in_range"] == str(found.stat.in_range).lower()
        assert (row["nn_t_sec"], row["nn_in_range"]) == ("495", str(found.nn.in_range).lower())
    broken = table[1]
    assert "b.png" in broken["error"]
    assert [broken[name] for name in (*COLUMNS[2:6], *COLUMNS[-2:])] == [""] * 6


def test_the_batch_size_changes_nothing(tmp_path: Path) -> None:
    data = tmp_path / "set.npz"
    np.savez(data, images=pictures(7))
    tables = []
    for batch_size in (1, 3, 64):
        records: list[Progress] = []
        out = tmp_path / f"{batch_size}.csv"
        finish(score_files(detector(), [str(data)], out, batch_size=batch_size), records.append)
        tables.append(rows(out))
        assert (records[-1].done, records[-1].total, records[-1].unit) == (7, 7, "images")
    for one, *others in zip(*tables, strict=True):
        for other in others:
            assert float(other["stat_score"]) == pytest.approx(float(one["stat_score"]), rel=1e-4)
            assert float(other["nn_probability"]) == pytest.approx(float(one["nn_probability"]), abs=1e-4)
            assert (other["stat_verdict"], other["index"]) == (one["stat_verdict"], one["index"])


def test_an_uncalibrated_pair_leaves_verdicts_empty(tmp_path: Path, folder: Path) -> None:
    finish(score_files(detector(), [str(folder / "a.png")], tmp_path / "out.csv", k=300, t_sec=300))
    (row,) = rows(tmp_path / "out.csv")
    assert float(row["stat_score"]) > 0
    assert [row[name] for name in ("stat_verdict", "nn_probability", "nn_verdict", "in_range", "nn_t_sec")] == [""] * 5


def test_at_another_t_sec_the_classifier_keeps_its_own(tmp_path: Path, folder: Path) -> None:
    for t_sec in (165, 495, 990):
        finish(score_files(detector(), [str(folder / "a.png")], tmp_path / f"{t_sec}.csv", t_sec=t_sec))
    (near,), (own,), (far,) = (rows(tmp_path / f"{t_sec}.csv") for t_sec in (165, 495, 990))
    for other in (near, far):
        assert [other[name] for name in COLUMNS if name.startswith("nn_")] == [
            own[name] for name in COLUMNS if name.startswith("nn_")
        ]
        assert other["stat_score"] != own["stat_score"]
    assert (near["t_sec"], near["nn_t_sec"], far["t_sec"], far["nn_t_sec"]) == ("165", "495", "990", "495")


def test_the_trajectory_ends_where_the_verdicts_are_read() -> None:
    asked = []

    def predict(x: torch.Tensor, t: int) -> torch.Tensor:
        asked.append((len(x), t))
        return detector().eps_model(x, t)

    assert judge_in_batches(replace(detector(), eps_model=predict), pictures(0), 165, 330) == []
    assert len(judge_in_batches(replace(detector(), eps_model=predict), pictures(5), 165, 330)) == 5
    assert asked == [(5, 0), (5, 165), (5, 330), (5, 495)]  # NN's own T_SEC
    assert all(judged.nn is None for judged in judge_in_batches(detector(), pictures(2), 330, 330))


def test_nothing_but_bad_files_is_a_table_too(tmp_path: Path, folder: Path) -> None:
    specs = [str(folder / "b.png"), str(tmp_path / "absent")]
    summary = finish(score_files(detector(), specs, tmp_path / "out.csv"))
    assert (summary.judged, summary.failed) == (0, 2)
    assert all(row["error"] for row in rows(tmp_path / "out.csv"))


def test_a_stopped_run_keeps_its_rows_and_the_table_of_before(tmp_path: Path) -> None:
    data, out = tmp_path / "set.npz", tmp_path / "out.csv"
    np.savez(data, images=pictures(4))
    before = ",".join(COLUMNS) + "\nthe table of before"
    out.write_text(before, encoding="utf-8")
    run: Generator[Progress, None, Any] = score_files(detector(), [str(data)], out, batch_size=2)
    next(run)
    run.close()
    assert out.read_text(encoding="utf-8") == before
    assert len(rows(tmp_path / "out.csv.part")) == 2
    finish(score_files(detector(), [str(data)], out, batch_size=2))
    assert len(rows(out)) == 4
    assert not (tmp_path / "out.csv.part").exists()


def test_settings_that_do_not_fit_write_nothing(tmp_path: Path) -> None:
    for wrong in ({"t_sec": 500}, {"batch_size": 0}):
        with pytest.raises(ValueError, match="must be"):
            next(score_files(detector(), ["x"], tmp_path / "out.csv", **wrong))
    assert list(tmp_path.iterdir()) == []
