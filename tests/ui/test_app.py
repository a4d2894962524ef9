"""The app as its visitors meet it: through the API client and in a real browser."""

import contextlib
import re
from pathlib import Path

import pytest
from helpers.browsing import WAIT, ask, score, served, set_k, wait_for_t_sec
from helpers.fakes import make_detector

from sedid.ui.context import Context
from sedid.ui.examples import list_examples

# --- the API ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(url: str):
    from gradio_client import Client

    with contextlib.closing(Client(url, verbose=False)) as made:
        yield made


def test_api_judges_at_the_calibrated_pair_by_default(client, photo: Path) -> None:
    from gradio_client import handle_file

    found = client.predict(handle_file(photo), api_name="/inspect")
    assert (found["k"], found["t_sec"]) == (165, 330)
    assert found["t_error"] == pytest.approx(found["weight"] * found["change"])
    assert set(found["stat"]) >= {"verdict", "in_range", "score", "threshold", "band", "percentile_real"}
    assert 0 <= found["nn"]["score"] <= 1
    assert any("80x80" in note for note in found["notes"])


def test_api_makes_up_no_verdict_where_nothing_was_calibrated(client, photo: Path) -> None:
    from gradio_client import handle_file

    found = client.predict(handle_file(photo), 100, 500, api_name="/inspect")
    assert found["stat"] is None
    assert found["nn"] is None
    assert found["nearest_calibrated"] == {"k": 165, "t_sec": 495}


@pytest.mark.parametrize(
    ("k", "t_sec", "message"),
    [
        (165, 500, "multiple of k"),
        (3, 0, "between 5 and 495"),
        (165, 1155, "multiple of k from 165 to 990"),
        (-5, -5, "between"),
    ],
)
def test_api_refuses_impossible_pairs_in_words(client, photo: Path, k: int, t_sec: int, message: str) -> None:
    from gradio_client import handle_file

    with pytest.raises(Exception, match=message):
        client.predict(handle_file(photo), k, t_sec, api_name="/inspect")


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n cut off"])
def test_api_refuses_what_is_no_image_and_goes_on(client, tmp_path: Path, photo: Path, content: bytes) -> None:
    from gradio_client import handle_file

    bad = tmp_path / "<b>bad.png"
    bad.write_bytes(content)
    with pytest.raises(Exception, match=r"bad.*(empty|not an image)") as caught:
        client.predict(handle_file(bad), api_name="/inspect")
    assert "<b>" not in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert client.predict(handle_file(photo), api_name="/inspect")["k"] == 165


@pytest.mark.parametrize("meta", [{"meta": {"_type": "gradio.FileData"}}, {"meta": {}}, {}])
@pytest.mark.parametrize("payload", [{"path": "picture"}, {"path": "/etc/hostname"}, {"path": "/no/such/picture.png"}])
def test_only_files_the_app_received_are_read(url: str, photo: Path, payload: dict, meta: dict) -> None:
    """A picture of the server's own is neither judged nor is a word said of whether it is there. Gradio looks at what says
    that it is a file only."""
    path = str(photo) if payload["path"] == "picture" else payload["path"]
    for name, data in (("inspect", [0, 0, "default"]), ("sweep", [0, "default"])):
        last = ask(url, name, [{"path": path} | meta, *data])
        assert '"success":false' in last.replace(" ", "")
        assert Path(path).name not in last
        assert meta.get("meta") or "uploaded to this app" in last


@pytest.mark.parametrize("sent", [{"path": None}, {"url": "data:image/png;base64,AAAA"}, {"url": "data:;base64,A"}])
def test_what_is_sent_in_place_of_an_image_is_refused(url: str, sent: dict) -> None:
    last = ask(url, "inspect", [{"path": None, "meta": {"_type": "gradio.FileData"}} | sent, 0, 0, "default"])
    assert '"success":false' in last.replace(" ", "")


# --- the page --------------------------------------------------------------------------------------------------


def evaluations(context: Context) -> int:
    return context.detectors.get().eps_model.network.calls  # type: ignore[attr-defined]


def test_opens_with_an_example_already_analysed(page) -> None:
    wait_for_t_sec(page, 330)
    assert page.locator(".sed-card .sed-call").all_inner_texts()[0] in {
        "Looks generated",
        "Looks real",
        "Cannot tell",
        "Outside the calibrated range",
    }
    assert page.locator("#film img").count() == 3
    assert "this" in page.locator("#verdicts .sed-note").inner_text()
    page.wait_for_selector(".sed-example[data-name=real-01][aria-pressed=true]")
    images = page.locator(".sed img:not(.sed-example img)").all()
    assert all(image.get_attribute("src").startswith("data:image/png") for image in images)


def test_t_sec_moves_by_keyboard_without_the_network(page, context: Context) -> None:
    wait_for_t_sec(page, 330)
    before, calls = score(page), evaluations(context)
    of_nn = page.locator("[data-verdict=nn] .sed-score").inner_text()
    page.locator("#t-sec input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    wait_for_t_sec(page, 495)
    assert score(page) != before
    assert "at its own T_SEC 330" in page.locator("[data-verdict=nn] h3").inner_text()
    assert page.locator("[data-verdict=nn] .sed-score").inner_text() == of_nn
    assert evaluations(context) == calls
    page.wait_for_url(re.compile("t_sec=495"))


def test_a_click_on_the_curve_moves_t_sec(page) -> None:
    plot = page.locator("#curve .ch-plot")
    plot.click(position={"x": plot.bounding_box()["width"] * 0.66, "y": 20})
    wait_for_t_sec(page, 660)
    page.wait_for_function("document.querySelector('#t-sec input[type=number]').value === '660'")
    assert page.locator("[data-verdict=stat] .sed-call").inner_text() == "Not calibrated here"
    page.locator("[data-verdict=stat] .sed-go").click()
    wait_for_t_sec(page, 495)


def test_k_changes_the_steps_of_t_sec(page) -> None:
    set_k(page, 100)
    wait_for_t_sec(page, 300)
    steps = page.locator("#t-sec input[type=range]")
    assert [steps.get_attribute(name) for name in ("min", "max", "step")] == ["100", "900", "100"]
    page.locator("#calibrated").click()
    wait_for_t_sec(page, 330)
    assert steps.get_attribute("max") == "990"


def test_k_stands_at_its_marks_and_any_other_within_its_bounds(page) -> None:
    """A k out of range stayed in box and address, while the engine took another one."""
    marks, box = page.locator("#k-marks input"), page.locator("#k input[type=number]")
    wait_for_t_sec(page, 330)
    assert [mark.get_attribute("value") for mark in marks.all()] == ["165", "other"]
    assert not box.is_visible()
    for typed, k in ((-5, 5), (9, 9), (600, 495)):
        set_k(page, typed)
        page.wait_for_url(re.compile(rf"[?&]k={k}&"))
        assert [box.input_value(), page.locator("#k input[type=range]").input_value()] == [str(k), str(k)]
        page.wait_for_selector(f"#curve >> text=no references at k = {k}")
        assert "neither side means generated here" in page.locator("[data-verdict=stat]").inner_text()
    marks.first.check()
    page.wait_for_url(re.compile("[?&]k=165&"))
    wait_for_t_sec(page, 495)
    assert not box.is_visible()
    assert "At this T_SEC smaller errors mean generated" in page.locator("[data-verdict=stat]").inner_text()


def test_words_of_the_glossary_are_explained_where_they_stand(page) -> None:
    note, term = page.locator("#sed-note"), page.locator("#verdicts .sed-term", has_text="STAT")
    said = "The error test: a verdict from the t-error and a threshold."
    assert page.locator(f"#{term.get_attribute('aria-describedby')}").text_content() == said
    for show in (term.hover, term.focus, term.click):
        show()
        page.wait_for_selector("#sed-note >> text=" + said)
        page.keyboard.press("Escape")
        page.wait_for_selector("#sed-note", state="hidden")
        page.mouse.move(5, 5)
        page.evaluate("document.activeElement.blur()")
    term.focus()
    page.keyboard.press("Tab")  # to the next one
    page.wait_for_selector("#sed-note >> text=The squared distance")
    assert note.bounding_box()["x"] >= 0


def test_the_last_k_asked_for_wins_and_a_walk_can_be_stopped(page, context: Context) -> None:
    model = context.detectors.get().eps_model.network
    opacity = "getComputedStyle(document.querySelector('#heat')).opacity"
    model.gate.clear()  # type: ignore[attr-defined]
    try:
        set_k(page, 10)
        page.wait_for_selector("#stop")  # only there while the network works
        page.wait_for_function(f"{opacity} < 1")  # these figures are those of the k before
        set_k(page, 300)
        page.wait_for_function("document.querySelector('#k input[type=range]').value === '300'")
    finally:
        model.gate.set()  # type: ignore[attr-defined]
    page.wait_for_selector("#t-sec input[type=range][max='900']")
    wait_for_t_sec(page, 300)
    model.gate.clear()  # type: ignore[attr-defined]
    try:
        set_k(page, 7)
        page.wait_for_selector("#stop")
        page.locator("#stop").click()
        page.wait_for_function("document.querySelector('#k input[type=range]').value === '300'")
        set_k(page, 7)
        page.wait_for_selector("#stop")
        page.locator("#t-sec input[type=range]").press("ArrowRight")  # any other choice ends it, too
        wait_for_t_sec(page, 600)
    finally:
        model.gate.set()  # type: ignore[attr-defined]
    page.wait_for_selector("#stop", state="hidden")
    page.wait_for_function("document.querySelector('#k input[type=range]').value === '300'")
    page.wait_for_function(f"{opacity} === '1'")
    assert page.locator("#t-sec input[type=range]").get_attribute("max") == "900"


def test_switches_change_map_and_curve(page) -> None:
    heat, curve = page.locator("#heat").inner_text(), page.locator("#curve").inner_text()
    page.locator("#weight-free input").check()
    page.wait_for_selector("#heat >> text=weight-free t-error per pixel")
    assert page.locator("#curve").inner_text() != curve
    page.locator("#lock-colours input").check()
    page.wait_for_selector("#heat >> text=same colours at every T_SEC")
    assert page.locator("#heat").inner_text() != heat


def test_blending_happens_in_the_browser(page) -> None:
    page.locator("input[type=range][aria-label*=Heatmap]").focus()
    page.keyboard.press("Home")
    page.wait_for_function("getComputedStyle(document.querySelector('#heat .sed-over')).opacity === '0'")


def test_frames_open_at_full_size_from_the_keyboard(page) -> None:
    wait_for_t_sec(page, 330)
    page.locator("#film .sed-zoom").first.focus()
    page.keyboard.press("Enter")
    dialog = page.locator("#sed-lightbox")
    page.wait_for_selector("#sed-lightbox[open]")
    assert dialog.locator("img").bounding_box()["width"] > 300
    page.keyboard.press("ArrowRight")
    assert "t = 165, step 1 of 2 into the noise" in dialog.inner_text()
    page.keyboard.press("Escape")
    page.wait_for_selector("#sed-lightbox", state="hidden")


def test_an_upload_is_inspected(page, photo: Path) -> None:
    before = score(page)
    page.locator("#photo button[aria-label='Remove Image']").click()
    page.wait_for_selector(".sed-state")
    assert page.locator(".sed-example[aria-pressed=true]").count() == 0
    page.locator("#photo input[type=file]").set_input_files(photo)
    page.wait_for_selector("#seen >> text=resized from 80x80")
    page.wait_for_selector(".sed-card")
    assert score(page) != before
    assert page.locator(".sed-example[aria-pressed=true]").count() == 0


def test_a_bad_upload_is_refused_in_words_and_the_page_goes_on(page, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"this is not a picture")
    before = score(page)
    page.locator("#photo input[type=file]").set_input_files(bad)
    page.wait_for_selector("text=bad.png is not an image")
    assert score(page) == before  # the previous result stays
    page.wait_for_function("document.querySelector('#photo img')?.naturalWidth === 256")
    page.locator(".sed-example[data-name=generated-01]").click()
    page.wait_for_selector(".sed-example[data-name=generated-01][aria-pressed=true]")
    assert score(page) != before


def test_the_camera_takes_a_picture(page) -> None:
    before = score(page)
    page.locator("#photo button[aria-label='Remove Image']").click()
    page.wait_for_selector(".sed-state")
    page.locator("#photo button[aria-label='Capture from camera']").click()
    page.locator("#photo button:has-text('Click to Access Webcam')").click()
    page.wait_for_function("document.querySelector('#photo video')?.currentTime > 0.3")  # the camera runs
    page.locator("#photo button[aria-label='capture photo']").click()
    page.wait_for_selector(".sed-card")
    page.wait_for_selector("#seen >> text=resized from")
    assert score(page) != before


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_no_sideways_scroll(page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_link_restores_the_view(browser, url: str) -> None:
    for query, t_sec, example in (
        ("k=90&t_sec=450&example=real-02", 450, "real-02"),
        ("k=nonsense&t_sec=-1&example=<script>", 165, "real-01"),
    ):
        page = browser.new_page()
        page.goto(f"{url}?{query}")
        page.wait_for_selector(f".sed-example[data-name={example}][aria-pressed=true]", timeout=WAIT)
        wait_for_t_sec(page, t_sec)
        page.close()


def test_without_a_detector_the_page_says_so(browser, examples: Path) -> None:
    def missing():
        raise FileNotFoundError("nothing in /a/secret/folder")

    with served(Context(missing, list_examples(examples))) as address:
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector(".sed-state >> text=No detector could be opened", timeout=WAIT)
        assert "secret/folder" not in page.content()
        page.close()


def test_an_uncalibrated_detector_shows_everything_but_a_verdict(browser, examples: Path) -> None:
    detector = make_detector(calibrated=False)
    with served(Context(lambda: detector, list_examples(examples))) as address:
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector("[data-verdict=stat] >> text=python -m sedid calibrate", timeout=WAIT)
        assert page.locator("#film img").count() == 4
        assert not page.locator("#calibrated").is_visible()
        page.close()
