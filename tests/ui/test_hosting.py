"""What a Space and a private server need: the front matter, file sizes, the lent GPU, a reverse proxy. Mostly no server."""

import importlib
import os
import pickle
import platform
import re
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
import torch
import yaml
from helpers.bundles import shared_bundle
from helpers.fakes import make_detector, make_image

from sedid.detector.detector import Detector
from sedid.detector.identity import Identity
from sedid.paths import ROOT
from sedid.progress import finish
from sedid.ui.context import Context
from sedid.ui.menu import Menu
from sedid.ui.recent import Recent
from sedid.ui.server import access, gpu

KEYS = {
    *("title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version", "app_file", "app_port"),
    *("base_path", "fullWidth", "header", "short_description", "models", "datasets", "tags", "thumbnail", "pinned"),
    *("license", "hf_oauth", "disable_embedding", "startup_duration_timeout", "custom_headers", "preload_from_hub"),
    *("suggested_hardware",),
}
"""Of the Hub's "Spaces configuration reference" (read in August 2026), what a Gradio Space may need."""
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


@pytest.fixture(scope="module")
def card() -> dict[str, Any]:
    _, matter, _ = (ROOT / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(matter)


def test_the_apps_threads_sleep_while_they_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    from sedid import ui

    monkeypatch.setenv("GOMP_SPINCOUNT", "")
    monkeypatch.delenv("GOMP_SPINCOUNT")
    ui.quiet()
    assert os.environ["GOMP_SPINCOUNT"] == "0"
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")  # whoever says otherwise is heard
    ui.quiet()
    assert os.environ["GOMP_SPINCOUNT"] == "7"


POOLS = """
import ctypes, sys, threading
from sedid.ui import tend_heap
if sys.argv[1:]: tend_heap()
libc, together = ctypes.CDLL(None), threading.Barrier(9)
libc.malloc.restype, libc.fdopen.restype, libc.fdopen.argtypes = ctypes.c_void_p, ctypes.c_void_p, [ctypes.c_int, ctypes.c_char_p]
def take():
    libc.malloc(50_000)
    together.wait()
threads = [threading.Thread(target=take) for _ in range(8)]
for thread in threads: thread.start()
together.wait()
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="pools are glibc's")
def test_threads_share_two_pools_of_memory() -> None:
    def pools(*arguments: str) -> int:
        return subprocess.check_output([sys.executable, "-c", POOLS, *arguments], text=True).count("<heap nr=")

    assert pools("share") <= 2 < pools()


HOLES = """
import ctypes, psutil, sys, time
from sedid.ui import tend_heap
libc, megabytes = ctypes.CDLL(None), lambda: psutil.Process().memory_info().rss / 1e6
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
blocks = [libc.malloc(100_000) for _ in range(2_000)]
for block in blocks: ctypes.memset(block, 1, 100_000)
for block in blocks[:-1]: libc.free(block)  # the last one keeps the pool as large as it was
held = megabytes()
if sys.argv[1:]: tend_heap(0.05)
until = time.monotonic() + (20 if sys.argv[1:] else 0.5)
while megabytes() > held - 150 and time.monotonic() < until: time.sleep(0.05)
print(held - megabytes())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="others give back what is free")
def test_free_memory_goes_back_to_the_system() -> None:
    def given_back(*arguments: str) -> float:
        return float(subprocess.check_output([sys.executable, "-c", HOLES, *arguments], text=True))

    assert given_back() < 50 < 150 < given_back("tended")


def test_the_front_matter_is_what_a_space_reads(card: dict[str, Any]) -> None:
    assert set(card) <= KEYS
    assert card["sdk"] == "gradio"
    assert (ROOT / card["app_file"]).is_file()
    assert len(card["short_description"]) <= 60
    assert {card["colorFrom"], card["colorTo"]} <= COLOURS
    assert card["license"] == "mit"
    assert all(isinstance(tag, str) for tag in card["tags"])
    assert re.fullmatch(r"\d+[smh]", card["startup_duration_timeout"])
    assert re.fullmatch(r"3\.\d+(\.\d+)?", card["python_version"])
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    least = re.search(r'requires-python = ">=3\.(\d+)"', project)
    assert least is not None
    assert int(card["python_version"].split(".")[1]) >= int(least[1])


def test_the_space_gets_the_gradio_that_is_pinned(card: dict[str, Any]) -> None:
    pins = re.findall(r"^gradio(?:\[\w+\])?==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert pins == [card["sdk_version"]]


def test_every_tracked_file_can_be_pushed_plainly() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no git checkout")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert [path for path in paths if path.is_file() and path.stat().st_size >= 9_000_000] == []


# --- a lent GPU ------------------------------------------------------------------------------------------------


class Spaces(types.ModuleType):
    """The package `spaces`, as on ZeroGPU: arguments and results are pickled, nothing else comes back."""

    def __init__(self) -> None:
        super().__init__("spaces")
        self.asked: list[tuple[Any, ...]] = []
        self.refuses: gr.Error | None = None
        self.after = 0  # points

    def GPU(self, duration: Callable[..., int]) -> Callable[..., Any]:
        def decorate(task: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
            def run(*arguments: Any) -> Iterator[Any]:
                self.asked.append((task.__name__, duration(*arguments)))
                assert duration(*arguments) < 120
                for number, result in enumerate(task(*pickle.loads(pickle.dumps(arguments)))):
                    if self.refuses and number == self.after:
                        raise self.refuses
                    yield pickle.loads(pickle.dumps(result))

            return run

        return decorate


@pytest.fixture
def spaces(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spaces]:
    """The app on ZeroGPU, but for the GPU."""
    fake = Spaces()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "spaces", fake)
        patch.setenv("SPACES_ZERO_GPU", "true")
        importlib.reload(gpu)
        patch.setattr(gpu, "DEVICE", "cpu")
        yield fake
    importlib.reload(gpu)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an event of a visitor."""
    monkeypatch.setattr(access, "visitor", lambda: ("page", "192.0.2.1"))


@pytest.mark.usefixtures("one_thread", "asked")
def test_a_visitors_walks_run_on_the_lent_gpu_and_come_out_the_same(spaces: Spaces) -> None:
    here = Context(lambda: gpu.load(shared_bundle()), (), Menu(shared_bundle()))
    lent = here.detectors.get()
    image = make_image(3)
    trace = here.traces.walk(lent, image, 330)
    assert [name for name, _ in spaces.asked] == ["points"]
    alone = finish(Detector.trace(make_plain(), image, 330))
    assert trace.curve == pytest.approx(alone.curve, rel=1e-6)
    assert here.traces.walk(lent, image, 330) is trace  # the cache is on this side
    assert len(spaces.asked) == 1
    (judgement,) = here.traces.judge(lent, image[None], 165, 495)
    assert len(spaces.asked) == 2
    assert judgement == lent.judge(finish(make_plain().trace(image, 165)), 495)
    scores, _ = here.traces.score(lent, np.stack([image, make_image(4)]), [330])
    assert scores[330, 660][0] == pytest.approx(alone.curve[1], rel=1e-5)
    assert all(point.eps.device == torch.device("cpu") for point in trace.points)


@pytest.mark.usefixtures("one_thread", "asked")
def test_where_no_gpu_is_lent_a_short_walk_goes_on_and_of_a_long_one_it_is_said_why(
    spaces: Spaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Title and text as the package `spaces` has them; a walk that has begun cannot go on elsewhere."""
    lent, image = gpu.load(shared_bundle()), make_image(3)
    alone = finish(make_plain().trace(image, 495))
    quota = gr.Error(
        "You have exceeded your free GPU quota (60s requested vs. 3s left).", title="ZeroGPU quota exceeded"
    )
    duration = gr.Error(
        "The requested GPU duration (130s) is larger than the maximum.", title="ZeroGPU illegal duration"
    )
    queue = gr.Error("No GPU was available after 60s. Retry later", title="ZeroGPU queue timeout")
    for spaces.refuses in (quota, duration, queue):
        assert finish(lent.trace(image, 495)).curve == alone.curve
    with monkeypatch.context() as patch:
        patch.setattr(gpu, "ON_CPU", 2)
        for spaces.refuses, said in ((quota, "is used up"), (duration, "more seconds"), (queue, "no GPU free")):
            with pytest.raises(gr.Error) as refused:
                finish(lent.trace(image, 495))
            assert said in refused.value.message
    spaces.after = 1
    with pytest.raises(gr.Error, match="no GPU free"):
        finish(lent.trace(image, 495))


@pytest.mark.parametrize(
    ("images", "size", "k", "t_sec", "asked"),
    [
        (1, 32, 165, 990, 3),
        (500, 32, 165, 990, 4),
        (1, 64, 49, 980, 3),
        (1, 32, 5, 995, 5),
        (1, 32, (0, 495, 990), 990, 3),
    ],
)
def test_seconds_of_a_gpu_are_asked_for_by_how_often_the_network_is(
    images: int, size: int, k: int | tuple[int, ...], t_sec: int, asked: int
) -> None:
    assert gpu.seconds("", "", np.zeros((images, size, size, 3), np.uint8), k, t_sec) == asked


def make_plain() -> Detector:
    from sedid.detector.bundle import load_detector

    return load_detector(shared_bundle(), device="cpu")


@pytest.mark.usefixtures("one_thread")
def test_the_apps_own_work_takes_no_visitors_gpu(spaces: Spaces) -> None:
    here = Context(lambda: gpu.load(shared_bundle()), (), Menu(shared_bundle()))
    here.traces.walk(here.detectors.get(), make_image(3), 495)
    assert spaces.asked == []


@pytest.mark.usefixtures("asked")
def test_a_walk_given_up_leaves_the_gpu(spaces: Spaces, monkeypatch: pytest.MonkeyPatch) -> None:
    lent = gpu.Lent(**{name: getattr(make_detector(), name) for name in Detector.__dataclass_fields__}, place="there")
    there = ("there", Identity.recorded(lent.info).model)
    detector = make_detector()
    monkeypatch.setattr(gpu, "_there", Recent(1))
    gpu._there.put(there, detector)
    steps = lent.trace(make_image(), 165)
    next(steps)
    steps.close()
    assert detector.eps_model.calls == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", ["", "0", "false"])
def test_elsewhere_nothing_of_it_is_there(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SPACES_ZERO_GPU", value)
    monkeypatch.setitem(sys.modules, "spaces", Spaces())
    assert gpu.lender() is None
    assert type(gpu.load(shared_bundle())) is Detector
    assert "spaces" not in (ROOT / "requirements.txt").read_text()


def test_the_folder_named_for_uploads_need_not_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sedid import ui

    below = tmp_path / "not" / "yet"
    served: list[Path] = []

    def stop(_: object) -> Context:
        served.append(Path(os.environ["GRADIO_TEMP_DIR"]).parent)
        raise KeyboardInterrupt

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(below))
    monkeypatch.setattr(ui, "make_context", stop)
    monkeypatch.setattr(ui.signal, "signal", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        ui.launch()
    assert served == [below]
    assert list(below.iterdir()) == []


@pytest.mark.jobs
def test_the_app_starts_where_proxies_are_set(tmp_path: Path) -> None:
    """Gradio asks its own server whether it runs; no proxy could tell."""
    dead = {
        "http_proxy": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "ALL_PROXY": "socks5://127.0.0.1:9",
    }
    own = {"SEDID_DETECTOR": "nowhere", "GRADIO_TEMP_DIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    others = {name: value for name, value in os.environ.items() if name.lower() != "no_proxy"}
    command = [sys.executable, "-m", "sedid", "app"]
    with subprocess.Popen(
        command, env=others | dead | own, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as started:
        assert started.stdout is not None
        lines: list[str] = []
        for line in started.stdout:
            lines.append(line)
            if "Streamable HTTP URL" in line:  # the last thing it says
                break
        started.terminate()
        assert "Streamable HTTP URL" in lines[-1], "".join(lines)
