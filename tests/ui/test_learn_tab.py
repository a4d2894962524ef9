"""The Learn tab: what its steps compute, the classroom sheet, and a visit with a browser."""

import base64
import inspect
import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from importlib import import_module
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import gradio as gr
import pytest
import torch
from helpers.browsing import WAIT, outside, served, visited
from helpers.fakes import calling, make_apart, make_detector, make_image
from markupsafe import Markup

from sedid import ui
from sedid.detector.bundle import SHIPPED
from sedid.detector.detector import Call, Detector, Inspection
from sedid.detector.words import as_lines
from sedid.method.diffusion import NoiseSchedule, ddim_step, noised
from sedid.method.flow import FlowSchedule
from sedid.method.wording import FLOW
from sedid.progress import finish
from sedid.report import case
from sedid.report.pictures import data_uri, number, visible
from sedid.report.verdict import factors
from sedid.studies.sign import SignResults
from sedid.ui.context import Context
from sedid.ui.examples import list_examples
from sedid.ui.learn import classroom_sheet, verdicts
from sedid.ui.learn import error as learn_error
from sedid.ui.learn import noise as learn_noise
from sedid.ui.learn import steps as learn_steps
from sedid.ui.learn.lesson import Lesson
from sedid.ui.learn.steps import NUMBERED, PLACES, QUIZ, SHEET, STEPS, WORLD, steps_of
from sedid.ui.learn.tab import Teacher, Turn
from sedid.ui.menu import DEFAULT

HOME = "http://classroom.example:7860/"


def make_teacher(examples: Path, calibrated: bool = True) -> Teacher:
    detector = replace(make_detector(calibrated), folder=SHIPPED)  # whose evaluation step 9 reads
    return Teacher(Context(lambda: detector, list_examples(examples)))


@pytest.fixture(scope="module")
def teacher(examples: Path) -> Teacher:
    return make_teacher(examples)


def lesson(teacher: Teacher, name: str = "real-01") -> Lesson:
    detector = teacher.detector()
    examples = teacher.examples(DEFAULT, detector)
    return teacher.lesson(detector, examples, teacher.subject(detector, examples, name, ""))


def opened(teacher: Teacher, step: str, example: str = "", image: str = "", home: str = HOME) -> str:
    """What a visit ends with."""
    *_, (page, _) = teacher.open(DEFAULT, step, example, image, home, "", Turn())
    return page


# --- what the steps say -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", NUMBERED)
def test_a_step_shows_its_equation_its_code_and_frames(teacher: Teacher, at: str) -> None:
    page = opened(teacher, at, "real-02")
    assert f'data-place="{at}" data-example="real-02"' in page
    assert page.count("<math") == page.count("</math>") == len(STEPS[int(at) - 1].equations)
    assert page.count('class="learn-frame"') > 1
    assert page.count('class="learn-frame"') == page.count("data-label=") - page.count('class="sed-zoom"')
    assert len(re.findall(r'class="learn-frame"[^>]*(?<! hidden)>', page)) == 1
    assert "nan" not in re.sub(r'"data:[^"]*"', "", page).lower().split()
    assert not re.search(r'(src|href)="(?!data:|\?tab=)', page)
    assert "Bring the image from Inspect here" in page
    if at == "1":
        assert re.search(r'class="learn-frame"[^>]*data-at="0"[^>]*(?<! hidden)>', page)  # without noise yet
    if at == "3":
        assert "so that there is more to see" in page  # why its steps are not those of the steps around it


def test_a_flow_is_taught_in_its_own_words_and_equations(teacher: Teacher) -> None:
    """Whatever a step or a figure says of the network's answer is a velocity there; the noise is what follows from it."""
    flow = replace(teacher.detector(), schedule=FlowSchedule.shifted(1000, 3.0), stat={}, nn=None, network=None)
    examples = teacher.examples(DEFAULT, teacher.detector())
    taught = teacher.lesson(flow, examples, examples[0])
    pages = {}
    for at in ("1", "2", "3", "4"):
        *_, page = learn_steps.draw(at, taught)
        pages[at] = Markup(page).striptags()
        assert all(Markup(one.mathml) in page for one in steps_of(FLOW)[int(at) - 1].equations)
        assert "bar" not in "".join(one.latex for one in steps_of(FLOW)[int(at) - 1].equations)
    assert "(1-σ)² is the share" in pages["1"]  # noqa: RUF001
    assert "FlowSchedule.shifted" in pages["1"]
    assert "Its answer is a velocity v" in pages["2"]
    assert "the noise minus the image" in pages["3"]
    trace = taught.walk(examples[0].image, taught.k)
    found = Inspection(trace, flow.judge(trace, taught.t_sec), ())
    said = [
        factors(flow.schedule.words, found.judgement),
        " ".join(as_lines("x", found, flow)),
        str(case.scores(found)),
        *pages.values(),
    ]
    for text in said[:3]:
        assert "change of predicted velocity" in text
    assert not any("ᾱ" in text or "predicted noise at" in text or "change of predicted noise" in text for text in said)
    assert "σₛ − σₜ" in said[0]  # noqa: RUF001
    assert found.judgement.weight == pytest.approx((flow.schedule.sigma[taught.t_sec] - flow.schedule.sigma[taught.t_sec - taught.k]) ** 2)  # type: ignore[attr-defined]  # fmt: skip


@pytest.mark.parametrize(
    "thing",
    [thing for step in (*STEPS, *steps_of(FLOW)) for thing in step.code],
    ids=lambda one: getattr(one, "__qualname__", type(one).__name__),
)
def test_the_code_shown_is_the_code_that_runs(thing: object) -> None:
    name, lines = learn_steps.source(thing)
    module, _, rest = name.partition(".")
    while True:
        head, _, rest = rest.partition(".")
        try:
            import_module(f"{module}.{head}")
        except ModuleNotFoundError:
            break
        module = f"{module}.{head}"
    of_file = [line.strip() for line in inspect.getsource(import_module(module)).splitlines()]
    assert lines.splitlines()
    assert all(line.strip() in of_file for line in lines.splitlines())
    assert '"""' not in lines


def test_a_step_is_drawn_once(examples: Path) -> None:
    teacher = make_teacher(examples)
    first, network = opened(teacher, "5", "real-01"), teacher.detector().eps_model.network  # type: ignore[attr-defined]
    calls = network.calls
    assert [page for page, _ in teacher.open(DEFAULT, "5", "real-01", "", HOME, "", Turn())] == [first]
    assert network.calls == calls


@pytest.mark.parametrize("at", NUMBERED)
def test_the_text_of_a_step_is_there_before_detector_and_network(examples: Path, at: str) -> None:
    loaded: list[Detector] = []

    def load() -> Detector:
        loaded.append(replace(make_detector(), folder=SHIPPED))
        return loaded[0]

    visit = Teacher(Context(load, list_examples(examples))).open(DEFAULT, at, "real-01", "", HOME, "", Turn())
    first, stored = next(visit)
    assert stored == gr.skip()
    assert loaded == []
    pages = [first, *(page for page, _ in visit)]
    for page in pages:
        assert Markup(STEPS[int(at) - 1].idea).striptags() in Markup(page).striptags()
        assert page.count("<math") == len(STEPS[int(at) - 1].equations)
    assert ["learn-waiting" in page for page in pages] == [True] * (len(pages) - 1) + [False]
    assert ["learn-frames" in page for page in pages] == [False] * (len(pages) - 1) + [True]
    assert "of 9 answers" in "".join(pages) or at != "2"


def test_a_visit_ends_where_another_one_begins(examples: Path) -> None:
    teacher, turn = make_teacher(examples), Turn()
    network = teacher.detector().eps_model.network  # type: ignore[attr-defined]
    first = teacher.open(DEFAULT, "8", "real-01", "", HOME, "", turn)
    assert "learn-waiting" in next(first)[0]
    *_, (second, _) = teacher.open(DEFAULT, "1", "real-01", "", HOME, "", turn)
    calls = network.calls
    assert list(first) == []
    assert network.calls - calls <= 1
    assert 'data-place="1"' in second


def test_an_unknown_place_or_image_opens_the_first(teacher: Teacher) -> None:
    for step, name in (("99", "<script>"), ("", ""), ("learn", "../secret")):
        page = opened(teacher, step, name, "javascript:x")
        assert f'data-place="{WORLD}" data-example=""' in page
    assert 'data-place="3" data-example="real-01"' in opened(teacher, "3", "../secret")


def test_the_image_in_inspect_is_walked_too(teacher: Teacher) -> None:
    page = opened(teacher, "5", "inspect", data_uri(make_image(9)))
    assert "your image" in page
    assert page.count("learn-portrait") == 3 * page.count('class="learn-frame"')  # beside one of both classes
    known = opened(teacher, "1", "inspect", data_uri(make_image(0)))
    assert 'data-example="real-01"' in known  # an example is called by its name
    with pytest.raises(gr.Error, match="not an image"):
        opened(teacher, "1", "inspect", "data:image/png;base64," + base64.b64encode(b"no image").decode())


def test_without_a_calibration_the_steps_that_need_one_say_so(examples: Path) -> None:
    teacher = make_teacher(examples, calibrated=False)
    for at in NUMBERED:
        page = opened(teacher, at)
        assert ("has not been calibrated" in page) == (at in ("5", "7", "8"))
    assert "How far" not in opened(teacher, SHEET)


def test_without_a_detector_or_examples_the_lesson_says_so(tmp_path: Path, examples: Path) -> None:
    def missing():
        raise FileNotFoundError("nothing in /a/secret/folder")

    assert "<math" in opened(Teacher(Context(missing)), WORLD)  # the world needs neither
    visit, pages = Teacher(Context(missing, list_examples(examples))).open(DEFAULT, "1", "", "", HOME, "", Turn()), []
    with pytest.raises(gr.Error, match="No detector could be opened") as refused:
        pages.extend(page for page, _ in visit)
    assert "secret" not in str(refused.value) + "".join(pages)
    assert "No detector could be opened" in pages[-1]  # where the picture would stand, for the message above goes away
    with pytest.raises(gr.Error, match="needs the example images"):
        opened(Teacher(Context(make_detector)), "1")


def test_the_estimate_undoes_the_noise_and_makes_the_ddim_step() -> None:
    """x_0 back from q where the noise is known; and phi, psi written with f_theta as in the equations shown."""
    schedule, generator = NoiseSchedule.linear(), torch.Generator().manual_seed(1)
    x_0, eps = torch.randn(2, 1, 3, 8, 8, generator=generator, dtype=torch.float64)
    for t, u in ((1, 500), (300, 135), (990, 825)):
        x_t = noised(schedule, x_0, eps, t)
        clean = schedule.clean_of(eps, x_t, t)
        torch.testing.assert_close(clean, x_0)
        a_u = schedule.alpha_bar[u]
        torch.testing.assert_close(a_u**0.5 * clean + (1 - a_u) ** 0.5 * eps, ddim_step(schedule, x_t, eps, t, u))


def test_a_network_that_knows_the_noise_makes_no_mistake(teacher: Teacher) -> None:
    walk = lesson(teacher)
    truth = learn_noise.noise_for(torch.zeros(1, 3, 32, 32))
    knowing = replace(walk, detector=replace(walk.detector, eps_model=lambda x, t: truth.clone()))
    silent = replace(walk, detector=replace(walk.detector, eps_model=lambda x, t: torch.zeros_like(x)))
    assert {found.mistake for found in finish(learn_noise.predictions(knowing))} == {0.0}
    assert all(found.mistake == pytest.approx(1, abs=0.1) for found in finish(learn_noise.predictions(silent)))


def test_the_shipped_detector_is_described_by_its_own_figures() -> None:
    """Step 5 quotes the polarity and the test AUC of detector.json, whatever they are."""
    from sedid.detector.bundle import SHIPPED
    from sedid.storage import read_json

    info = read_json(SHIPPED / "sedid" / "detector.json")
    row = next(row for row in info["metrics"]["stat"]["heldout"] if row["chosen"])
    pair, detector = (row["k"], row["t_sec"]), make_detector()
    one = replace(next(iter(detector.stat.values())), k=row["k"], t_sec=row["t_sec"], polarity=row["polarity"])
    detector = replace(detector, info=info, chosen=pair, stat={pair: one})
    walk = Lesson(detector, None, (), lambda image, k: None)  # type: ignore[arg-type, return-value]
    said = learn_error.separation(walk, one)
    assert f"AUC {row['auc']:.2f} on {row['real']:,} real and {row['generated']:,} generated test images" in said
    assert f"a {row['polarity']} error meant generated" in said


def test_the_claim_is_tested_with_every_sampler_of_the_bundles_study(tmp_path: Path) -> None:
    """Step 5 says what sign.json says, and nothing of it where a bundle brings none."""
    results = SignResults.read(SHIPPED.parent / "cifar10" / "sedid" / "sign.json")
    words = " ".join(Markup(learn_error.samplers(SHIPPED.parent / "cifar10")).striptags().split())
    for row in results.rows:
        end = row.at[-1].auc
        way = "Smaller" if end.low > 0.5 else "Larger" if end.high < 0.5 else "Neither"
        assert f"{way} means generated at T_SEC {results.t_secs[-1]} (AUC {end.value:.2f})" in words
        assert f"finest noise: {row.noise:.1f} grey levels first noise estimate: {row.size:.2f}" in words
        same = row.at[-1].same_size
        assert same is None or f"AUC of pairs of one size: {same.value:.2f}" in words
    sides = [one.at[-1].auc for one in results.rows]
    assert f"holds with {sum(one.low > 0.5 for one in sides)} of these {len(sides)} samplers" in words
    assert f"turns round with {sum(one.high < 0.5 for one in sides)}." in words
    for folder in (None, tmp_path):
        none = learn_error.samplers(folder)
        assert "nobody has measured it" in none
        assert "<figure" not in none
    file = tmp_path / "sedid" / "sign.json"
    file.parent.mkdir()
    file.write_text("{}")
    with pytest.raises(gr.Error, match=r"sign\.json"):
        learn_error.samplers(tmp_path)


def test_a_classifier_at_a_t_sec_of_its_own_is_shown_there(teacher: Teacher, examples: Path) -> None:
    detector = make_apart()
    apart = lesson(Teacher(Context(lambda: detector, list_examples(examples))))
    shown, sheets = finish(verdicts.versus_step(apart)), classroom_sheet.document(apart, [], HOME, True)
    subjects = apart.some(3)
    for subject in subjects:
        trace = apart.walk(subject.image, 165)
        assert data_uri(visible(trace.denoised(495))) in shown
        assert data_uri(visible(trace.denoised(330))) not in shown
    assert "ψ(495 → 330)" in shown
    assert shown.count("NN sees two images, at its own T_SEC 495</h3>") == len(subjects)
    assert "k = 165, T_SEC = 330, NN at its own T_SEC 495." in sheets
    usual = lesson(teacher)
    assert "own T_SEC" not in finish(verdicts.versus_step(usual)) + classroom_sheet.document(usual, [], HOME, True)


def test_what_only_the_classifier_calls_out_of_range_is_told_as_its_doubt() -> None:
    detector = make_apart()
    judged = detector.judge(finish(detector.trace(make_image(), 165)), 330)
    assert judged.stat is not None
    assert judged.nn is not None
    stat, nn = calling("real", judged.stat), calling(Call.OUTSIDE, judged.nn)
    moral = verdicts.moral
    assert "so NN says that" in moral(judged, replace(judged, stat=stat, nn=nn), "flat")
    assert "so the detector says that" in moral(judged, replace(judged, stat=calling(Call.OUTSIDE, stat)), "flat")


# --- the classroom sheet ----------------------------------------------------------------------------------------


def test_the_sheet_links_to_real_views_and_the_key_has_the_detectors_numbers(teacher: Teacher) -> None:
    walk = lesson(teacher)
    listed = classroom_sheet.exercises(walk)
    pupils, key = (classroom_sheet.document(walk, listed, HOME, which) for which in (False, True))
    assert pupils.count("<section>") == key.count("<section>") == len(listed) == 9
    assert 'class="answer"' not in pupils
    links = [unescape(link) for link in re.findall(r'href="([^"]+)"', pupils)]
    assert len(links) == len(listed)
    names = {example.name for example in walk.examples}
    for link in links:
        query = {name: values[0] for name, values in parse_qs(urlparse(link).query).items()}
        assert link.startswith(HOME)
        assert query["example"] in names
        assert query.get("step", "1") in PLACES
        assert ("tab" in query) != ("t_sec" in query)
    found = walk.judge(walk.walk(walk.subject.image, walk.k))
    assert f"E = <b>{number(found.t_error)}</b> = <b>{number(found.weight)}</b>" in key
    assert number(found.t_error) not in re.sub(r'"data:[^"]*"', "", pupils)
    for page in (pupils, key):
        assert not re.search(r'src="(?!data:)', page)
        assert "<script" not in page


def test_every_exercise_has_a_code_to_scan_where_the_class_can_reach_the_page(teacher: Teacher) -> None:
    """A sheet made on one's own computer says so: its addresses lead nowhere else."""
    walk = lesson(teacher)
    listed = classroom_sheet.exercises(walk)
    there = classroom_sheet.document(walk, listed, "https://example.org/", False)
    assert there.count('class="qr"') == len(listed)
    assert str(classroom_sheet.qr(re.findall(r'<a href="(https://[^"]*)"', there)[0].replace("&amp;", "&"))) in there
    here = classroom_sheet.document(walk, listed, "http://127.0.0.1:7860/", False)
    assert 'class="qr"' not in here
    assert "These links open on this computer alone." in here


def test_the_sheets_links_are_web_addresses_only(teacher: Teacher) -> None:
    walk = lesson(teacher)
    listed = classroom_sheet.exercises(walk)
    assert "javascript" not in classroom_sheet.document(walk, listed, "javascript:alert(1)//", False)
    hostile = classroom_sheet.document(walk, listed, 'http://x/"><script>alert(1)</script>', True)
    assert "<script" not in hostile


# --- a visit ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def url(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    detector = make_detector()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        patch.setattr(ui, "TABS", ("inspect", "learn", "sweep"))
        with served(Context(lambda: detector, list_examples(examples))) as address:
            yield address


def at_place(page, place: str) -> None:
    page.wait_for_selector(f'#learn .learn[data-place="{place}"]')


@pytest.mark.parametrize("width", [1280, 360])
def test_a_visitor_walks_through_all_steps(page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 850})
    page.get_by_role("tab", name="Learn").click()
    for place in PLACES:
        at_place(page, place)
        page.wait_for_url(re.compile(r"tab=learn"))
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator(f'.learn-nav [data-step="{place}"]').get_attribute("aria-current") == "step"
        missing = page.locator("#learn img:not([alt])").count()
        assert missing == 0
        if place == PLACES[-1]:
            break
        page.locator(".learn-turn .learn-next").click()
    page.keyboard.press("ArrowLeft")
    at_place(page, QUIZ)
    page.wait_for_url(re.compile(r"step=quiz"))


def test_the_animation_is_scrubbed_and_played_without_the_server(page) -> None:
    page.get_by_role("tab", name="Learn").click()
    at_place(page, WORLD)
    page.locator('.learn-nav [data-step="3"]').click()
    at_place(page, "3")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/queue/" in request.url else None)
    slider = page.locator(".learn-scrub input")
    slider.focus()
    page.keyboard.press("End")
    page.wait_for_selector('.learn-frame[data-at="990"]:not([hidden])')
    assert page.locator(".learn-frame:not([hidden])").count() == 1
    assert slider.get_attribute("aria-valuetext") == page.locator(".learn-scrub output").inner_text()
    page.wait_for_url(re.compile(r"t=990"))
    labels = page.eval_on_selector_all(".learn-frame", "frames => frames.map(frame => frame.dataset.label)")
    page.evaluate(
        "window.shown = []; const output = document.querySelector('.learn-scrub output');"
        "new MutationObserver(() => shown.push(output.textContent)).observe(output, {childList: true})"
    )
    page.locator("#learn .sed-play").click()  # at the end it starts again
    page.wait_for_function(f"shown.length >= {len(labels)}")
    page.wait_for_selector('#learn .sed-play[aria-pressed="false"]')  # it stops by itself
    assert page.evaluate("shown") == labels
    assert asked == []


def test_a_link_opens_a_step_with_its_image_and_frame(browser, url: str) -> None:
    with visited(browser, f"{url}?tab=learn&step=3&example=generated-01&t=330") as page:
        wrong: list[str] = []
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: wrong.append(request.url) if outside(request.url, url) else None)
        at_place(page, "3")
        page.wait_for_selector('.learn[data-example="generated-01"]')
        page.wait_for_selector('.learn-frame[data-at="330"]:not([hidden])')
        query = parse_qs(urlparse(page.url).query)
        assert {"tab": ["learn"], "step": ["3"], "t": ["330"]}.items() <= query.items()
        page.locator('.learn-pick[data-name="real-02"]').click()
        page.wait_for_selector('.learn[data-example="real-02"]')
        page.wait_for_url(re.compile("example=real-02"))
        page.get_by_role("tab", name="Sweep").click()
        page.wait_for_url(re.compile("tab=sweep"))
        assert "step" not in page.url
        page.get_by_role("tab", name="Inspect").click()
        page.wait_for_url(lambda now: "tab=" not in now and "example=generated-01" in now)
        assert wrong == []


def test_two_rounds_of_the_quiz_by_keyboard(browser, url: str) -> None:
    with visited(browser, f"{url}?tab=learn&step=8") as page:
        at_place(page, "8")
        page.locator('.learn-nav [data-step="quiz"]').focus()
        page.keyboard.press("Enter")
        for round, key in ((1, "r"), (2, "g")):
            page.wait_for_selector(f"text=Image {round}: what is it?")
            inside = page.locator("#learn .learn-quiz")
            assert inside.locator("img").count() == 1
            assert inside.locator(".learn-call").count() == 0
            page.wait_for_function("document.activeElement.matches('#learn h2')")
            page.keyboard.press(key)
            page.wait_for_selector(".learn-quiz h3[role=status]")
            assert inside.locator(".learn-call").count() == 2
            assert inside.locator("img[alt^=Heatmap]").is_visible()
            assert f"{round} of {round}" in page.locator(".learn-score tbody tr").first.inner_text()
            page.wait_for_function("document.activeElement.matches('#learn h2')")
            page.keyboard.press("n")
        page.wait_for_selector("text=Image 3: what is it?")
        score = page.locator(".learn-score").inner_text()
        page.reload()
        page.wait_for_selector("text=Image 3: what is it?", timeout=WAIT)
        assert page.locator(".learn-score").inner_text() == score
        page.locator(".learn-link").click()
        page.wait_for_selector("text=Image 1: what is it?")


def test_both_sheets_are_saved(browser, url: str, tmp_path: Path) -> None:
    with visited(browser, f"{url}?tab=learn&step=sheet") as page:
        at_place(page, SHEET)
        for button in ("Save the exercises", "Save the teacher's key"):
            with page.expect_download() as saving:
                page.get_by_role("button", name=button).click()
            saved = tmp_path / saving.value.suggested_filename
            saving.value.save_as(saved)
            text = saved.read_text(encoding="utf-8")
            assert text.startswith("<!doctype html>")
            assert f'href="{url}?tab=learn&amp;step=1' in text
    assert {path.name for path in tmp_path.iterdir()} == {"sedid-exercises.html", "sedid-key.html"}
