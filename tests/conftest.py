"""Shared fixtures: networks small enough to run by the thousand, and a pipeline folder around one of them."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings

settings.register_profile("any machine", deadline=None)  # a busy one is slow, and nothing is wrong with it
settings.load_profile("any machine")

THREADS = 1 if "PYTEST_XDIST_WORKER" in os.environ else 2
"""Of one test: where several run at once, each on one core, and so do the processes it starts."""
os.environ["OMP_NUM_THREADS"] = str(THREADS)
torch.set_num_threads(THREADS)

MARKS = {"browser": {"browser", "page"}, "jobs": {"runs", "store"}}
"""Mark -> the fixtures by which a test earns it: it opens a browser, or starts jobs as processes of their own."""
LOOPS = {"training", "studies", "recipes"}
"""Folders whose tests run whole loops."""
PLACES = {
    "types": ("test_quality",),
    "wide": (
        "test_corpus",
        "test_endpoints",
        "test_escaping",
        "test_faults",
        "test_fuzz",
        "test_hub",
        "test_identity",
        "test_licences",
        "test_no_traceback",
        "test_outputs",
        "test_shipped",
    ),
    "jobs": ("test_cli", "test_holes", "test_http", "test_load", "test_packaging", "test_processes"),
    "loops": (
        "test_audit",
        "test_company",
        "test_frame",
        "test_kinds",
        "test_latent",
        "test_paths",
        "test_quality_figures",
        "test_reproducible",
        "test_trained",
    ),
}
"""Mark -> files of tests that ask another program, try one thing on everything, start processes, or walk and fit for long."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by what they use and where they lie, so that the quick ring can leave the slow kinds out.

    Format, lint and types come first.
    """
    items.sort(key=lambda item: item.path.name != "test_quality.py")
    for item in items:
        used = set(getattr(item, "fixturenames", ()))
        for mark, fixtures in MARKS.items():
            if used & fixtures:
                item.add_marker(mark)
        if item.path.parent.name in LOOPS:
            item.add_marker("loops")
        for mark, files in PLACES.items():
            if item.path.stem in files:
                item.add_marker(mark)


def make_tiny_unet(seed: int = 0, width: int = 8, sample_size: int = 8) -> Any:
    """A random two-level U-Net with attention: 45,000 parameters at width 8, milliseconds an evaluation."""
    from diffusers.models import UNet2DModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DModel(
            sample_size=sample_size,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            block_out_channels=(width, 2 * width),
            layers_per_block=1,
            norm_num_groups=4,
        )
    return unet.eval()


def save_tiny_bundle(folder: Path, **unet: int) -> Path:
    """A diffusers pipeline folder (unet/, scheduler/) around a tiny U-Net for 32x32 images."""
    from sedid.models.schedules import make_scheduler

    make_tiny_unet(sample_size=32, **unet).save_pretrained(folder / "unet")
    make_scheduler().save_pretrained(folder / "scheduler")
    return folder


@pytest.fixture(scope="session", autouse=True)
def temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever a test, or a process it starts and kills, leaves in the temporary folder goes with the session."""
    os.environ["TMPDIR"] = str(tmp_path_factory.mktemp("temp"))
    tempfile.tempdir = None  # read anew


@pytest.fixture(scope="session")
def tiny_unet() -> Callable[..., Any]:
    """The factory `make_tiny_unet(seed, width, sample_size)`."""
    return make_tiny_unet


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline folder to read from; write to a copy."""
    return save_tiny_bundle(tmp_path_factory.mktemp("tiny") / "bundle")


@pytest.fixture(scope="session")
def images_npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 smooth random 32x32 images, uint8, as a data set file."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (24, 4, 4, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("data") / "images.npz"
    np.savez(path, images=coarse.repeat(8, axis=1).repeat(8, axis=2))
    return path


def with_one_thread() -> Iterator[None]:
    """Set the number of threads to one, and back."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Tiny networks on a busy machine: threads that wait for each other cost a hundredfold."""
    yield from with_one_thread()


@pytest.fixture(scope="module")
def one_thread_for_all() -> Iterator[None]:
    """Threads share the work of a kernel, so their number decides on the rounding, too: one for a whole file of tests."""
    yield from with_one_thread()


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Path]:
    """A runs folder; whatever still works in it at the end is killed."""
    from sedid.jobs.folder import process_of
    from sedid.storage import read_json

    folder = tmp_path / "runs"
    yield folder
    for file in folder.glob("*/job.json"):
        process = process_of(read_json(file))
        if process:
            process.kill()


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from helpers.fakes import make_image
    from PIL import Image

    folder = tmp_path_factory.mktemp("examples")
    for seed, name in enumerate(("real-01", "real-02", "generated-01")):
        Image.fromarray(make_image(seed)).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    from helpers.fakes import make_image
    from PIL import Image

    path = tmp_path / "photo.png"
    Image.fromarray(make_image(5, 80)).save(path)
    return path


@pytest.fixture(scope="module")
def context(examples: Path):
    """What a page of a fake detector is about; a module that wants another one has a fixture of this name."""
    from helpers.fakes import make_detector

    from sedid.ui.context import Context
    from sedid.ui.examples import list_examples

    detector = make_detector()
    return Context(lambda: detector, list_examples(examples))


@pytest.fixture(scope="module")
def tabs() -> tuple[str, ...]:
    """Which tabs the page has; a module about one of them names it in a fixture of its own."""
    from sedid import ui

    return ui.TABS


@pytest.fixture(scope="module")
def url(context, tabs: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the page, served for a module."""
    from helpers.browsing import served

    from sedid import ui

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        patch.setattr(ui, "TABS", tabs)
        with served(context) as address:
            yield address


@pytest.fixture(scope="module")
def browser():
    from helpers.browsing import CHROMIUM

    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    flags = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-background-networking",
        "--disable-component-update",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
    ]
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, url: str):
    """The page, open and settled; at the end nothing may have gone wrong or gone outside."""
    from helpers.browsing import WAIT, outside

    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(WAIT)
    wrong: list[str] = []

    def said(message: Any) -> None:
        if message.type == "error" or "i18n" in message.text:  # a word of ours that Gradio takes for a key of its own
            wrong.append(message.text)

    page.on("console", said)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url) if outside(request.url, url) else None)
    page.on("response", lambda answer: wrong.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
    page.goto(url)
    page.wait_for_selector(".sed-card")
    yield page
    context.close()
    assert wrong == []
