"""The logic of the page's scripts, in the browser that runs them: no app, no server."""

import re
from typing import Any

import pytest

from sedid.ui import scripts
from sedid.ui.train import job_card

HERE = "https://here/app?tab=learn&step=3&t=330&example=real-2&k=165#top"
SEEN = '<div data-example="real-01" data-path=""><ul><li>tile 12 of 40, at column 3</li></ul></div>'


@pytest.fixture(scope="module")
def blank(browser):
    page = browser.new_page()
    yield page
    page.close()


@pytest.fixture
def still(browser):
    """A page whose time goes on only when it is told to."""
    page = browser.new_page()
    page.clock.install(time=0)
    page.clock.pause_at(10)
    yield page
    page.close()


def test_every_module_is_one_script_without_imports(blank) -> None:
    modules = sorted(file.stem for file in scripts.STATIC.glob("*.js"))
    assert len(modules) > 10
    for name in modules:
        blank.evaluate("source => { new Function(source); }", scripts.statements(name))
        assert re.search(r"^(import|export)\b", scripts.statements(name), re.MULTILINE) is None


def test_what_is_imported_late_is_asked_for_by_its_content() -> None:
    """A new version has another address, since browsers keep it for ever."""
    address = scripts.address("world_view")
    assert f"import(new URL('.{address}', document.baseURI))" in scripts.statements("learn")
    assert "function openWorld" not in scripts.statements("learn")
    assert "export function openWorld" in (scripts.served(address) or "")
    for wrong in (
        f"{address}.js",
        address.replace("world_view", "learn"),
        "/assets/later-../x-0.js",
        "/assets/later-none-0.js",
    ):
        assert scripts.served(wrong) is None


def test_the_page_runs_what_the_modules_export() -> None:
    """A name that no module has would fail only in the browser."""
    code = "".join(file.read_text(encoding="utf-8") for file in scripts.STATIC.parent.rglob("*.py"))
    asked = set(re.findall(r'\bfunction\("(\w+)", "(\w+)"', code))
    asked |= {(module, "start") for module in re.findall(r'on_load\("(\w+)"\)', code)}
    assert len(asked) > 12
    assert [(m, called) for m, called in asked if f"\nfunction {called}(" not in scripts.statements(m)] == []
    assert scripts.function("tabs", "follow", "learn", False).endswith('return follow("learn", false, ...own); }')


@pytest.mark.parametrize(
    ("module", "expression", "value"),
    [
        ("bridge", "[turn(0, -1, 3), turn(2, 1, 3), turn(0, 1, 1)]", [2, 0, 0]),
        ("tiles", "['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown'].map(key => tileStep(key, 7))", [-1, 1, -7, 7]),
        ("tiles", "tileStep('Enter', 7) === undefined", True),
        ("tiles", f"[openTile({SEEN!r}), openTile('')]", [11, -1]),
        ("gallery", "[nearest([165, 330, 990], 600), nearest([165], 900)]", [330, 165]),
        ("guide", "slug(' What is “t-error”, and why? ')", "what-is-t-error-and-why"),
        ("guide", f"inGuide('https://here/app?tab=guide&doc=limits#x', {HERE!r})", True),
        ("guide", f"inGuide('https://there/app?tab=guide', {HERE!r}) || inGuide('https://here/app?tab=train', {HERE!r})", False),
        ("learn", "[buttonOf('ArrowRight', false), buttonOf('G', true)]", [".learn-next", "[aria-keyshortcuts=G]"]),
        ("learn", "[buttonOf('g', false), buttonOf('x', true)].every(one => one === undefined)", True),
        ("learn", "[firstFrame(['0', '165'], '165', 0), firstFrame(['0', '165'], '7', 1), firstFrame([undefined], null, 0)]", [1, 1, 0]),
        ("learn", "[...bytes('w6k=')]", [0xC3, 0xA9]),
        ("film", "[0, 1, 2, 3].map(moment => lit(moment, 3))", [0, 1, 2, 1]),
        ("film", "[0, 1, 3].map(moment => told(moment, ['t = 0', 't = 5', 't = 10']).split(':')[0])", ["t = 0", "t = 5", "One step back, from t = 10 to t = 5"]),
        ("film", "[paced(220, false), paced(220, true)]", [220, 1200]),
        ("view", f"exampleOf({SEEN!r})", "real-01"),
        ("world_view", "[nearest(660, 297, 1000), nearest(0, 165, 1000), nearest(999, 330, 1000)]", [594, 165, 990]),
        ("world_view", "[0, 0.2187, -12.349, 1250, 0.000123].map(digits)", ["0", "0.219", "-12.3", "1250", "1.2·10⁻⁴"]),
        ("world_view", "bins([0.1, 2, 50, 1e9], 1, 100, 4)", [0.5, 0, 0, 0.5]),
        ("world_view", "[0.7, 1, 4.9, 5, 37].map(magnified)", [0.5, 1, 2, 5, 20]),
        ("world_view", "[0.2, 0.52, 0.8].map(one => /smaller|larger|nothing/.exec(verdict(one, 330))[0])", ["larger", "nothing", "smaller"]),
    ],
)  # fmt: skip
def test_what_they_work_out(blank, module: str, expression: str, value: Any) -> None:
    assert blank.evaluate(f"() => {{ {scripts.statements(module)} return {expression}; }}") == value


@pytest.mark.parametrize(
    ("module", "expression", "query"),
    [
        ("tabs", "tabAddress(HERE, 'inspect', true)", "?example=real-2&k=165"),
        ("tabs", "tabAddress(HERE, 'learn', false, 'real-9')", "?tab=learn&step=3&t=330&example=real-9&k=165"),
        ("tabs", "tabAddress('https://here/?tab=compare&study=sign', 'compare', false)", "?tab=compare&study=sign"),
        ("tabs", "tabAddress('https://here/?tab=compare&study=sign', 'sweep', false)", "?tab=sweep"),
        ("tabs", "tabAddress(HERE + '&doc=limits', 'guide', false)", "?tab=guide&example=real-2&k=165#top&doc=limits"),
        ("view", "viewAddress('https://here/?k=1&example=x', 165, 330, '', 'default')", "?k=165&t_sec=330"),
        (
            "view",
            "viewAddress('https://here/', 5, 10, SEEN, 'job:3')",
            "?k=5&t_sec=10&example=real-01&detector=job%3A3",
        ),
        ("view", "viewAddress('https://here/?detector=job:3', 5, 10, '', 'someone/else')", "?k=5&t_sec=10"),
        ("address", "changed('https://here/?a=1&b=2', { a: null, b: 3, c: '', d: undefined })", "?b=3"),
    ],
)
def test_addresses(blank, module: str, expression: str, query: str) -> None:
    given = f"const HERE = {HERE!r}, SEEN = {SEEN!r};"
    found = blank.evaluate(f"() => {{ {scripts.statements(module)} {given} return {expression}.href; }}")
    assert found.partition("?")[2] == query.removeprefix("?")


def test_cancel_leaves_the_chosen_job_alone(blank) -> None:
    """'' is no job of the list, which then refused it with a red error."""
    asked = f"answer => {{ window.confirm = () => answer; return ({job_card.CONFIRM})('job-1'); }}"
    assert [blank.evaluate(asked, answer) for answer in (True, False)] == ["job-1", None]


FRAMES = """<div class="learn-frames"><button class="sed-play" data-name="Play"><i>▶</i></button><input type="range" min="0" max="2" value="0"><output></output>
<div class="learn-frame" data-label="t = 0" data-at="0" data-x="0"></div>
<div class="learn-frame" data-label="t = 165" data-at="165" data-x="16.5" hidden></div>
<div class="learn-frame" data-label="t = 330" data-at="330" data-x="33" hidden></div><i class="learn-now"></i></div>"""


def test_leafing_shows_one_frame_and_says_which(blank) -> None:
    blank.set_content(FRAMES)
    shown = blank.evaluate(
        f"""() => {{ {scripts.statements("learn")}
        const frames = document.querySelector('.learn-frames'), at = show(frames, 1);
        return [at, frames.querySelector('output').textContent, frames.querySelector('.learn-now').style.left,
          [...frames.querySelectorAll('.learn-frame')].map(frame => frame.hidden)]; }}"""
    )
    assert shown == ["165", "t = 165", "16.5%", [True, False, True]]


def test_playing_runs_to_the_last_frame_and_stops(still) -> None:
    still.set_content(FRAMES)
    state = """() => [document.querySelector('output').textContent, document.querySelector('.sed-play').ariaPressed]"""
    still.evaluate(
        f"""() => {{ const element = document.body, watch = () => 0, trigger = () => 0; {scripts.on_load("learn")} }}"""
    )
    still.click(".sed-play")
    still.clock.run_for(300)
    assert still.evaluate(state) == ["t = 165", "true"]
    still.clock.run_for(2000)
    assert still.evaluate(state) == ["t = 330", "false"]


STRIP = """<div class="sed-film"><button class="sed-play" data-name="Play the path"><i>▶</i></button><output></output></div>
<div class="sed-strip">{}</div><p>elsewhere</p>""".format(
    "".join(f"<figure><button>x</button><figcaption>t = {t}</figcaption></figure>" for t in (0, 165, 330))
)


def test_the_film_strip_is_played_to_the_step_back_and_stops_at_any_other_choice(still) -> None:
    still.set_content(STRIP)
    still.evaluate(
        f"""() => {{ const element = document.body, watch = () => 0, trigger = () => 0; {scripts.on_load("film")} }}"""
    )
    state = """() => [[...document.querySelectorAll('figure')].findIndex(one => one.classList.contains('sed-lit')),
      document.querySelector('output').textContent.split(':')[0], document.querySelector('.sed-play').ariaLabel]"""
    still.focus(".sed-play")
    still.keyboard.press("Enter")
    seen = [still.evaluate(state)]
    for _ in range(4):
        still.clock.run_for(700)
        seen.append(still.evaluate(state))
    back = "One step back, from t = 330 to t = 165"
    assert [(place, words) for place, words, _ in seen] == [
        (0, "t = 0"),
        (1, "t = 165"),
        (2, "t = 330"),
        (1, back),
        (-1, back),
    ]
    assert [label for *_, label in seen] == ["Pause"] * 4 + ["Play the path"]
    choices = (
        lambda: still.click(".sed-play"),
        lambda: still.click("p"),
        lambda: still.keyboard.press("Escape"),
        lambda: still.evaluate("document.body.dispatchEvent(new Event('input', { bubbles: true }))"),
    )
    for choose in choices:
        still.click(".sed-play")
        still.clock.run_for(700)
        assert still.evaluate(state) == [1, "t = 165", "Pause"]
        choose()
        still.clock.run_for(700)
        assert still.evaluate(state) == [-1, "", "Play the path"]
    still.emulate_media(reduced_motion="reduce")
    still.click(".sed-play")
    still.clock.run_for(1100)  # who wants less motion gets a slower film
    assert still.evaluate(state) == [0, "t = 0", "Pause"]
    still.clock.run_for(200)
    assert still.evaluate(state) == [1, "t = 165", "Pause"]


TILES = """<div class="sed-map"><div data-columns="2">{}</div><p class="sed-told"></p></div>""".format(
    "".join(
        f'<button class="sed-tile" data-tile="{i}" tabindex="-1" aria-label="Tile {i + 1}">x</button>' for i in range(4)
    )
)


def test_arrows_lead_from_tile_to_tile_and_stay_on_the_map(blank) -> None:
    blank.set_content(TILES)
    blank.evaluate(
        f"""() => {{ const element = document.body, watch = () => 0; window.sent = [];
        const trigger = (name, data) => window.sent.push([name, data]); {scripts.on_load("tiles")} }}"""
    )
    blank.focus("[data-tile='0']")
    said = []
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowLeft", "ArrowUp", "ArrowUp"):
        blank.keyboard.press(key)
        said.append(blank.inner_text(".sed-told"))
    assert said == ["Tile 2", "Tile 4", "Tile 4", "Tile 3", "Tile 1", "Tile 1"]
    blank.keyboard.press("Enter")
    assert blank.evaluate("window.sent") == [["select", {"tile": 0}]]
