"""Who may do what on a public page, and how much a visitor gets. Handlers alone; no browser."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.fakes import make_apart, make_detector, make_image
from hypothesis import given
from hypothesis import strategies as st

from sedid.ui.context import Context
from sedid.ui.menu import Menu
from sedid.ui.server import access, door

# gradio comes after browsing, which keeps it from calling home
import gradio as gr  # isort: skip
from gradio.context import LocalContext  # isort: skip


class Clock:
    """Time that passes when told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Nobody has used anything yet."""
    clock = Clock()
    monkeypatch.setattr(access, "pages", access.Allowance(access.PAGE_EVALUATIONS, 60, clock=clock))
    monkeypatch.setattr(access, "addresses", access.Allowance(access.ADDRESS_EVALUATIONS, 60, clock=clock))
    monkeypatch.setattr(access, "tries", access.Allowance(access.ATTEMPTS, access.ATTEMPTS_TIME, clock=clock))
    monkeypatch.setattr(access, "all_tries", access.Allowance(access.ALL_ATTEMPTS, access.ATTEMPTS_TIME, clock=clock))
    access._unlocked.clear()
    return clock


@contextlib.contextmanager
def event_of(page: str, address: str = "192.0.2.1") -> Iterator[None]:
    """As in an event of an open page."""
    token = LocalContext.request.set(
        gr.Request(session_hash=page, client=SimpleNamespace(host=address))  # type: ignore[arg-type]
    )
    try:
        yield
    finally:
        LocalContext.request.reset(token)


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDID_PUBLIC", "1")
    monkeypatch.setenv("SEDID_ADMIN_PASSWORD", "correct horse")


@pytest.mark.parametrize(
    ("space", "said", "public"),
    [(None, None, False), ("a/b", None, True), ("a/b", "0", False), (None, "1", True), (None, "0", False)],
)
def test_a_page_is_public_on_a_space_or_where_it_is_said(
    monkeypatch: pytest.MonkeyPatch, space: str | None, said: str | None, public: bool
) -> None:
    for name, value in (("SPACE_ID", space), ("SEDID_PUBLIC", said)):
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    assert access.is_public() is public
    assert bool(access.refusal()) is public
    assert Menu().typing is not public


@pytest.mark.usefixtures("public")
def test_the_password_unlocks_one_open_page(clock: Clock) -> None:
    with event_of("host"):
        with pytest.raises(gr.Error, match="not the password"):
            access.unlock("wrong")
        with pytest.raises(gr.Error, match="switched off"):
            access.refuse()
        access.unlock("correct horse")
        access.refuse()
        assert Menu().typing
    for page, address in (("other", "192.0.2.1"), ("host", "192.0.2.2")):
        with event_of(page, address), pytest.raises(gr.Error, match="switched off"):
            access.refuse()
    with pytest.raises(gr.Error, match="switched off"):
        access.refuse()  # no page at all


@pytest.mark.usefixtures("public")
def test_an_unlocked_page_is_locked_again_in_the_end(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    with event_of("host"):
        access.unlock("correct horse")
        later = access.time.monotonic() + access.UNLOCKED_TIME + 1
        monkeypatch.setattr(access, "time", SimpleNamespace(monotonic=lambda: later))
        assert access.refusal()


@pytest.mark.usefixtures("public")
def test_the_password_cannot_be_guessed_in_a_row(clock: Clock) -> None:
    with event_of("page"):
        for _ in range(access.ATTEMPTS):
            with pytest.raises(gr.Error, match="not the password"):
                access.unlock("guess")
        with pytest.raises(gr.Error, match="Too many attempts: the next one is possible in 3 minutes"):
            access.unlock("correct horse")  # also the right one has to wait
    for number in range(access.ALL_ATTEMPTS - access.ATTEMPTS):
        with event_of("page", f"198.51.100.{number}"), pytest.raises(gr.Error, match="not the password"):
            access.unlock("guess")
    with event_of("fresh", "203.0.113.1"), pytest.raises(gr.Error, match="Too many attempts"):
        access.unlock("guess")
    clock.now += access.ATTEMPTS_TIME
    with event_of("page"):
        access.unlock("correct horse")
        assert access.refusal() == ""


def test_without_a_password_nothing_is_unlocked(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDID_PUBLIC", "1")
    monkeypatch.delenv("SEDID_ADMIN_PASSWORD", raising=False)
    with event_of("host"), pytest.raises(gr.Error, match="Nothing can be unlocked"):
        access.unlock("")


# --- how much --------------------------------------------------------------------------------------------------


@given(
    amount=st.floats(1, 1000),
    takes=st.lists(st.tuples(st.floats(0, 100), st.floats(0.01, 1)), max_size=30),
)
def test_nobody_gets_more_than_a_full_bucket_and_what_flows_in(amount: float, takes: list[tuple[float, float]]) -> None:
    clock = Clock()
    allowance, used, began = access.Allowance(amount, 60, clock=clock), 0.0, clock.now
    for later, share in takes:
        clock.now += later
        wanted = share * amount
        wait = allowance.wait("me", wanted)
        if wait:
            clock.now += wait  # what it promises holds
            assert allowance.wait("me", wanted) == pytest.approx(0, abs=1e-6)
        allowance.take("me", wanted)
        used += wanted
        assert used <= amount + (clock.now - began) * amount / 60 + 1e-6 * amount
    assert allowance.wait("another", amount) == 0


def test_an_allowance_remembers_so_many_and_no_more() -> None:
    allowance = access.Allowance(1, 60, keys=3, clock=Clock())
    for name in "abcd":
        allowance.take(name, 1)
    assert [allowance.wait(name, 1) > 0 for name in "abcd"] == [False, True, True, True]


@pytest.mark.usefixtures("public")
def test_a_visitor_waits_for_more_network_and_repeats_for_free(clock: Clock) -> None:
    detector = make_detector()
    context = Context(lambda: detector)
    context.traces.walk(detector, make_image(0), 165)  # the app's own
    with event_of("one"):
        images = [make_image(seed) for seed in range(1, 5)]
        for image in images[:3]:
            context.traces.walk(detector, image, 5)  # 200 evaluations
        calls = detector.eps_model.calls  # type: ignore[attr-defined]
        with pytest.raises(gr.Error, match="wait 20 seconds"):
            context.traces.walk(detector, images[3], 5)
        with pytest.raises(gr.Error, match="wait"):
            context.traces.judge(detector, images[3][None], 165, 330)
        assert detector.eps_model.calls == calls  # type: ignore[attr-defined]
        context.traces.walk(detector, images[0], 5)  # from the cache
        clock.now += 20
        context.traces.walk(detector, images[3], 5)
    with event_of("two"):  # another page in the same room
        context.traces.walk(detector, make_image(9), 5)


@pytest.mark.usefixtures("public")
def test_all_pages_of_an_address_share_what_it_gets(clock: Clock) -> None:
    for number in range(access.ADDRESS_EVALUATIONS // access.PAGE_EVALUATIONS):
        with event_of(f"page {number}"):
            access.charge(access.PAGE_EVALUATIONS)
    with event_of("one more"), pytest.raises(gr.Error, match="wait 1 second "):
        access.charge(10)
    with event_of("elsewhere", "203.0.113.9"):
        access.charge(10)


@pytest.mark.usefixtures("public")
def test_what_no_waiting_would_allow_is_refused_at_once(clock: Clock) -> None:
    with event_of("one"), pytest.raises(gr.Error, match="at once; on this public page 600"):
        Context(make_detector).traces.judge(make_detector(), make_image()[None].repeat(601, 0), 330, 330)
    with event_of("two"), pytest.raises(gr.Error, match="at once; on this public page 600"):
        Context(make_apart).traces.judge(
            make_apart(), make_image()[None].repeat(151, 0), 165, 330
        )  # 4 evaluations each, up to NN's T_SEC


def test_at_home_nothing_is_counted(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDID_PUBLIC", "0")
    with event_of("me"):
        access.charge(10**9)
    assert len(access.pages._levels) == 0


def test_old_uploads_are_deleted_and_new_ones_stay(tmp_path: Path) -> None:
    for name, age in (("old", 100.0), ("new", 900.0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "photo.png").write_bytes(b"x")
        for path in (tmp_path / name / "photo.png", tmp_path / name):
            os.utime(path, (age, age))
    door.forget(tmp_path, before=500.0)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
