"""The lesson's world in closed form: its arithmetic against the engine, what its texts say, and a visit with a browser."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
import torch
from helpers.browsing import served, visited
from helpers.fakes import make_detector
from helpers.mixture import MixtureNetwork
from sklearn.metrics import roc_auc_score

from sedid import ui
from sedid.method.diffusion import NoiseSchedule, ddim_step, t_error, trajectory
from sedid.ui.context import Context
from sedid.ui.examples import list_examples
from sedid.ui.learn import world as learn_world
from sedid.ui.scripts import statements

SCHEDULE = NoiseSchedule.linear()
NAMES = ("density", "walk", "errors", "draws", "place", "crowd", "auc", "hills", "scales")


@pytest.fixture(scope="module")
def world(browser) -> Iterator[Any]:
    """Evaluates a JavaScript function of (world, abar, argument)."""
    page = browser.new_page()

    def evaluate(function: str, argument: Any = None) -> Any:
        world = f"{{ {', '.join(NAMES)} }}"
        run = f"text => {{ {statements('world_view')} return ({function})({world}, schedule(), JSON.parse(text)); }}"
        return page.evaluate(run, json.dumps(argument))

    yield evaluate
    page.close()


def make_case(seed: int) -> dict[str, Any]:
    """A mixture, three points, k and T_SEC, drawn at random."""
    rng = np.random.default_rng(seed)
    parts, axes = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    k = int(rng.integers(1, 400))
    weights = rng.dirichlet(np.ones(parts))
    mixture = [
        {
            "weight": weight,
            "mean": rng.uniform(-4, 4, axes).tolist(),
            "variance": (10 ** rng.uniform(-3, 1, axes)).tolist(),
        }
        for weight in weights.tolist()
    ]
    return {
        "mixture": mixture,
        "x": rng.uniform(-6, 6, (3, axes)).tolist(),
        "k": k,
        "end": int(rng.integers(1, 999 // k + 1)) * k,
    }  # fmt: skip


def network(mixture: list[dict[str, Any]]) -> MixtureNetwork:
    fields = (
        torch.tensor([part[name] for part in mixture], dtype=torch.float64) for name in ("weight", "mean", "variance")
    )
    return MixtureNetwork(SCHEDULE, *fields)


def test_the_schedule_is_the_engines(world) -> None:
    np.testing.assert_allclose(world("(world, abar) => abar"), SCHEDULE.alpha_bar, rtol=1e-12)


def test_path_noise_and_t_error_are_the_engines(world) -> None:
    """60 random worlds, each with its own k and T_SEC; the engine walks them in float64."""
    cases = [make_case(seed) for seed in range(60)]
    walked = world(
        """(world, abar, cases) => cases.map(({mixture, x, k, end}) => {
          const points = world.walk(mixture, abar, Float64Array.from(x.flat()), k, end);
          const plain = one => ({...one, x: one.x && [...one.x], eps: one.eps && [...one.eps]});
          const found = world.errors(abar, points).map(one => ({tSec: one.tSec, back: [...one.back], parts: [...one.parts]}));
          return {points: points.map(plain), errors: found};
        })""",
        cases,
    )
    for case, found in zip(cases, walked, strict=True):
        x_0 = torch.tensor(case["x"], dtype=torch.float64)[..., None, None]
        points = list(trajectory(network(case["mixture"]), x_0, SCHEDULE, case["k"], case["end"]))
        assert [point["t"] for point in found["points"]] == [point.t for point in points]
        for mine, point in zip(found["points"], points, strict=True):
            for name, truth in (("x", point.x), ("eps", point.eps)):
                np.testing.assert_allclose(mine[name], truth.flatten(), rtol=1e-9, atol=1e-12, err_msg=f"{name} {case}")
        assert [error["tSec"] for error in found["errors"]] == [point.t for point in points[1:]]
        for mine, near, far in zip(found["errors"], points[:-1], points[1:], strict=True):
            back = ddim_step(SCHEDULE, far.x, far.eps, far.t, near.t)
            np.testing.assert_allclose(mine["back"], back.flatten(), rtol=1e-9, atol=1e-10, err_msg=str(case))
            truth = 4 * t_error(SCHEDULE, near, far).map  # images count from 0 to 1, the world as its axis is drawn
            close = {"rtol": 1e-9, "atol": 1e-9 * float(truth.max())}
            np.testing.assert_allclose(mine["parts"], truth.flatten(), **close, err_msg=str(case))


def test_the_noised_density_is_the_one_whose_slope_is_the_noise(world) -> None:
    case = make_case(7)
    mine = world(
        "(world, abar, {mixture, x}) => [0, 330, 990].map(t => [...world.density(mixture, abar, x.flat(), t)])", case
    )
    at = torch.tensor(case["x"], dtype=torch.float64)
    for t, found in zip((0, 330, 990), mine, strict=True):
        np.testing.assert_allclose(found, network(case["mixture"]).noised(t).log_prob(at).exp(), rtol=1e-9)


@pytest.mark.parametrize("numbers", [1, 4])
def test_a_crowd_is_drawn_from_its_mixture_and_its_errors_add_up(world, numbers: int) -> None:
    data = [
        {"weight": 0.3, "mean": [-2, 0], "variance": [1, 0.04]},
        {"weight": 0.7, "mean": [2, 0], "variance": [4, 0.16]},
    ]
    wide = [part | {"variance": [4 * one for one in part["variance"]]} for part in data]
    points, crowd = world(
        """(world, abar, [data, wide, numbers]) => {
          const drawn = world.draws(4000, 2);
          const found = world.crowd(data, abar, wide, drawn, numbers, 165);
          return [drawn.map(draw => world.place(wide, draw)), found.map(one => [...one])];
        }""",
        [data, wide, numbers],
    )
    x_0 = torch.tensor(points, dtype=torch.float64)
    share = torch.tensor([0.3, 0.7], dtype=torch.float64)
    middle = share @ network(wide).means
    spread = share @ (network(wide).variances + network(wide).means.square()) - middle.square()
    torch.testing.assert_close(x_0.mean(0), middle, atol=0.1, rtol=0)
    torch.testing.assert_close(x_0.var(0), spread, atol=0, rtol=0.1)
    walked = list(trajectory(network(data), x_0[..., None, None], SCHEDULE, 165, 990))
    for found, near, far in zip(crowd, walked[:-1], walked[1:], strict=True):
        sums = 4 * t_error(SCHEDULE, near, far).score.view(-1, numbers).sum(1)
        np.testing.assert_allclose(found, sums, rtol=1e-9, atol=1e-17)


def test_the_auc_is_that_of_scikit_learn(world) -> None:
    rng = np.random.default_rng(3)
    pairs = [(rng.integers(0, high, 40).tolist(), rng.integers(0, high, 55).tolist()) for high in (3, 20, 10**6)]
    found = world("(world, abar, pairs) => pairs.map(([real, generated]) => world.auc(real, generated))", pairs)
    for (real, generated), auc in zip(pairs, found, strict=True):
        labels = [0] * len(real) + [1] * len(generated)
        assert auc == pytest.approx(roc_auc_score(labels, [-one for one in real + generated]), rel=1e-12)


# --- what the texts say ------------------------------------------------------------------------------------------

AUCS = """([name, data, from, numbers]) => {
  const of = given => ({hills: world.hills, scales: world.scales})[name](...given);
  const drawn = world.draws(numbers * 400, name === 'hills' ? 1 : 2);
  const [real, generated] = [data, from].map(one => world.crowd(of(data), abar, of(one), drawn, numbers, 165));
  return real.map((one, i) => world.auc(one, generated[i]));
}"""


def aucs(world, *cases: tuple[str, list[float], list[float]]) -> list[list[float]]:
    """AUC at T_SEC 165, 330, ..., 990 if smaller means generated, of pictures of 8 numbers."""
    return world(f"(world, abar, cases) => cases.map({AUCS})", [[*case, 8] for case in cases])


def test_on_one_hill_the_error_is_a_factor_times_the_square_of_the_distance(world) -> None:
    rows = world(
        """(world, abar) => [1, -2, 3].map(x => world.errors(abar,
          world.walk(world.hills(0, 0.7), abar, Float64Array.of(x), 33, 990)).map(one => one.parts[0]))"""
    )
    np.testing.assert_allclose(rows, np.outer([1, 4, 9], rows[0]), rtol=1e-7)


def test_the_wider_the_hill_the_later_the_error_is_largest(world) -> None:
    rows = world(
        """(world, abar) => [0.2, 0.5, 1, 1.5, 2].map(spread => world.errors(abar,
          world.walk(world.hills(0, spread), abar, Float64Array.of(1), 165, 990)).map(one => one.parts[0]))"""
    )
    largest = np.argmax(rows, axis=1)
    assert (np.diff(largest) >= 0).all()
    assert largest[-1] > largest[0]


def test_too_little_spread_makes_the_error_smaller_and_too_much_larger(world) -> None:
    one_hill, same, little, much, two_hills = aucs(
        world,
        ("hills", [0, 0.7], [0, 0.7 * 0.8]),
        ("hills", [0, 0.7], [0, 0.7]),
        ("hills", [0, 2], [0, 2 * 0.8]),
        ("hills", [0, 0.7], [0, 0.7 * 1.25]),
        ("hills", [5, 0.7], [5, 0.7 * 0.8]),
    )
    assert min(one_hill) > 0.65
    assert same == [0.5] * 6  # both crowds are drawn with the same dice
    assert min(little) > 0.65
    assert max(much) < 0.35
    assert min(two_hills) < 0.45 < 0.65 < max(two_hills)  # the hills apart: it depends on T_SEC


def test_with_two_scales_the_sign_turns_with_t_sec(world) -> None:
    both, coarse, fine, opposite = aucs(
        world,
        ("scales", [1, 1], [0.8, 1.3]),
        ("scales", [1, 1], [0.8, 1]),
        ("scales", [1, 1], [1, 1.3]),
        ("scales", [1, 1], [1.25, 0.7]),
    )
    assert both[0] < 0.35
    assert min(both[1:]) > 0.65
    assert abs(coarse[0] - 0.5) < 0.1  # an early T_SEC measures the fine side
    assert min(coarse[1:]) > 0.65
    assert fine[0] < 0.35
    assert max(abs(one - 0.5) for one in fine[2:]) < 0.05  # a late one is blind to it
    assert opposite[0] > 0.65
    assert max(opposite[1:]) < 0.35


# --- a visit -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def url(examples: Path) -> Iterator[str]:
    detector = make_detector()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ui, "TABS", ("learn",))  # no other tab asks for anything
        with served(Context(lambda: detector, list_examples(examples))) as address:
            yield address


def level(page) -> float:
    return float(page.locator('[data-world="path"] .world-handle').get_attribute("aria-valuenow"))


def test_a_point_is_dragged_keyed_and_played_without_the_server(browser, url: str) -> None:
    with visited(browser, url) as page:
        reading = page.locator('[data-part="point"] .world-reading')
        handle = page.locator('[data-world="path"] .world-handle')
        page.wait_for_selector('[data-world="path"] .world-way')
        assert page.locator("#learn .learn").get_attribute("data-place") == "0"
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        before, box = reading.inner_text(), handle.locator("circle").first.bounding_box()
        middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.move(*middle)
        page.mouse.down()
        page.mouse.move(middle[0], middle[1] - 60, steps=5)
        page.mouse.up()
        page.wait_for_function("before => document.querySelector('.world-reading').innerText !== before", arg=before)
        dragged = level(page)
        assert dragged > 2
        page.keyboard.press("ArrowRight")  # the point has the focus: the lesson's page does not turn
        page.wait_for_function("was => document.querySelector('.world-handle').ariaValueNow > was", arg=dragged)
        assert level(page) == pytest.approx(dragged + 0.1, abs=0.011)
        page.keyboard.press("Home")
        page.wait_for_function("document.querySelector('.world-handle').ariaValueNow === '-6.00'")
        assert page.locator("#learn .learn").get_attribute("data-place") == "0"
        page.locator("#learn .world-walk .sed-play").click()
        page.wait_for_function("document.querySelector('input[name=world-t]').value === '990'")
        page.wait_for_selector('.world-walk .sed-play[aria-label="Play"]')  # it stops by itself
        page.wait_for_url(re.compile("t=990"))
        page.wait_for_function("document.querySelector('[data-world=status]').textContent.includes('t = 990')")
        assert asked == []


def test_k_moves_the_ends_of_t_sec_and_keeps_it_near(browser, url: str) -> None:
    with visited(browser, f"{url}?step=0&t=660") as page:
        page.wait_for_selector('[data-world="path"] .world-way')
        t_sec, k = page.locator("input[name=world-t]"), page.locator("input[name=world-k]")
        assert t_sec.input_value() == "660"
        k.fill("297")
        page.wait_for_function("document.querySelector('input[name=world-t]').max === '891'")
        assert t_sec.input_value() == "594"
        k.fill("33")
        page.wait_for_function("document.querySelector('input[name=world-t]').max === '990'")
        assert t_sec.input_value() == "660"


def test_a_link_opens_a_part_and_other_steps_keep_their_numbers(browser, url: str) -> None:
    with visited(browser, f"{url}?step=0&part=scales&t=165") as page:
        page.set_viewport_size({"width": 320, "height": 700})
        reading = page.locator('[data-part="scales"] .world-reading')
        page.wait_for_selector('[data-part="scales"] .world-handle')
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        assert "larger means generated" in reading.inner_text()
        bars = page.locator('[data-world="scales-auc"] .world-hit')
        bars.last.click()
        page.wait_for_url(re.compile("t=990"))
        assert "smaller means generated" in reading.inner_text()
        page.locator(".learn-turn .learn-next").click()
        page.wait_for_selector('#learn .learn[data-place="1"]')
        query = parse_qs(urlparse(page.url).query)
        assert query["step"] == ["1"]
        assert not {"part", "t"} & set(query)


def test_the_step_quotes_the_script_it_runs() -> None:
    shown, script = learn_world.sources(), statements("world")
    assert [name for name, _ in shown] == [f"world.js: {one}" for one in ("noised", "eps", "step", "errors")]
    assert all(lines in script and lines.endswith("\n}") for _, lines in shown)
