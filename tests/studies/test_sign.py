"""The study of the sign: its figures against what they are said to be, on made-up statistics and with a tiny network."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.bundles import pictures, shared_bundle, shared_detector

from sedid.data.image_statistics import finest_noise
from sedid.data.perturb import perturb_all, perturbation
from sedid.detector.bundle import SHIPPED
from sedid.progress import finish
from sedid.report import sign as page
from sedid.stats.confounds import matched, mean_ratio
from sedid.storage import read_json, write_json
from sedid.studies.sign import SignConfig, SignResults, sign
from sedid.training.scoring import score

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_finest_noise_is_in_grey_levels() -> None:
    gray = np.full((3, 64, 64, 3), 128.0)
    noisy = np.rint(gray + 6 * np.random.default_rng(0).standard_normal(gray.shape)).astype(np.uint8)
    np.testing.assert_allclose(finest_noise(noisy), 6, rtol=0.05)
    columns = np.tile(np.array([0, 255], np.uint8).repeat(3).reshape(1, 1, 2, 3), (1, 16, 8, 1))
    assert finest_noise(columns) == 0  # edges along columns are not diagonal


def test_pairs_are_equal_in_the_statistic_and_as_many_as_there_can_be() -> None:
    rng = np.random.default_rng(1)
    real, generated = rng.lognormal(0, 0.5, 120), rng.lognormal(0.5, 0.5, 80)
    rows, columns = matched(real, generated)
    assert len(set(rows)) == len(rows) == len(set(columns)) > 40
    assert np.abs(np.log(real[rows] / generated[columns])).max() <= np.log(1.1) + 1e-9
    assert [len(part) for part in matched(real, 100 * generated)] == [0, 0]
    # each real here has one partner it must share: greedy pairing of the closest would lose one of every two
    a, b = np.repeat(np.arange(1, 31), 2) * 10.0, np.repeat(np.arange(1, 31), 2) * 10.0
    a[1::2] *= 1.06
    b[::2] *= 1.05
    b[1::2] *= 1.15
    assert len(matched(a[:12], b[:12])[0]) == 0  # six pairs are too few
    assert len(matched(a, b)[0]) == 60


def test_ratios_are_geometric_means() -> None:
    found = mean_ratio(np.log([0.5, 2.0, 1.0, 1.0]))
    assert found.value == pytest.approx(1)
    assert found.low == pytest.approx(1 / found.high)


SETS = (("real", 8, 1), ("first", 6, 2))


def of_set(images: np.ndarray) -> np.ndarray:
    """The size of the network's first word about each image."""
    detector = shared_detector()
    first = next(iter(detector.walk(images, 495)))
    return first.eps.square().mean(dim=(1, 2, 3)).sqrt().numpy()


def test_results_of_before_are_read_and_shown_without_the_first_estimate(tmp_path: Path) -> None:
    found = SignResults.read(SHIPPED.parent / "cifar10" / "sedid" / "sign.json")
    plain = replace(
        found, size=None, size_correlations=(), others=(), ends=(),
        rows=tuple(replace(row, size=None, size_auc=None, size_pairs=0, ends=(), ends_same_size=()) for row in found.rows),
    )  # fmt: skip
    plain.write(tmp_path / "sign.json")
    written = read_json(tmp_path / "sign.json")
    for name in ("size", "size_correlations", "others", "ends"):
        del written[name]
    for row in written["rows"]:
        for name in ("size", "size_auc", "size_pairs", "ends", "ends_same_size"):
            del row[name]
    write_json(tmp_path / "sign.json", written)
    drawn = page.whole(SignResults.read(tmp_path / "sign.json"))
    assert "first noise estimate" not in drawn
    assert "images that are equal in their finest noise are still told apart" in drawn


def test_the_study_measures_every_set_and_change(tmp_path: Path) -> None:
    files = {}
    for name, seed, count in (("real", 1, 8), ("one", 2, 6), ("two", 3, 5)):
        np.savez(tmp_path / f"{name}.npz", images=pictures(count, seed))
        files[name] = str(tmp_path / f"{name}.npz")
    sets = (f"first={files['one']}", f"second={files['two']}")
    config = SignConfig(
        detector=str(shared_bundle()), real=files["real"], generated=sets, k=495, changed=3,
        changes=("noise:2", "quantise:64"), out=str(tmp_path), device="cpu",
    )  # fmt: skip
    result = finish(sign(config))
    assert SignResults.read(tmp_path / "sign.json") == result
    assert result.t_secs == (495, 990)
    assert [(row.set, row.count, row.pairs) for row in result.rows] == [("first", 6, 0), ("second", 5, 0)]

    assert result.changed_noise == np.median(finest_noise(pictures(8, 1)[:3]))
    detector = shared_detector()
    real, _ = finish(score(detector, pictures(8, 1), [495]))
    first, _ = finish(score(detector, pictures(6, 2), [495]))
    smaller = np.mean(first[495, 990][:, None] < real[495, 990])
    assert result.rows[0].at[1].auc.value == pytest.approx(smaller)
    noisy, _ = finish(score(detector, perturb_all(pictures(8, 1)[:3], perturbation("noise", 2)), [495]))
    ratio = np.exp(np.mean(np.log(noisy[495, 990] / real[495, 990][:3])))
    assert result.doses[0].ratios[1].value == pytest.approx(ratio, rel=1e-5)

    # the first noise estimate, and walks of other steps
    assert (result.others, len(result.ends), len(result.size_correlations)) == ((330, 990), 2, 2)
    size = of_set(pictures(8, 1))
    assert result.size == pytest.approx(np.median(size), rel=1e-5)
    assert result.rows[0].size_auc.value == pytest.approx(np.mean(of_set(pictures(6, 2))[:, None] < size))
    longer = {name: finish(score(detector, pictures(count, seed), [330]))[0][330, 990] for name, count, seed in SETS}
    smaller = np.mean(longer["first"][:, None] < longer["real"])
    assert result.rows[0].ends[0].value == pytest.approx(smaller)
    assert result.doses[0].size == pytest.approx(
        np.median(of_set(perturb_all(pictures(8, 1)[:3], perturbation("noise", 2)))), rel=1e-5
    )
    assert result.rows[0].size_pairs == 0  # too few images to pair
    assert result.rows[0].ends_same_size == (None, None)

    drawn = page.whole(result)
    assert "The first noise estimate, and other steps" in drawn
    assert drawn.count("<figure") == 2
    assert "times their t-error at T_SEC 990" not in drawn  # noise:1 and blur:0.6 were not among the changes
    assert "<th>64 levels</th>" in drawn


def test_two_sets_of_one_name_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=pictures(3))
    file = str(tmp_path / "a.npz")
    config = SignConfig(
        detector=str(shared_bundle()), real=file, generated=(f"x={file}", f"x={file}"), out=str(tmp_path)
    )
    with pytest.raises(ValueError, match="two sets are called 'x'"):
        finish(sign(config))
