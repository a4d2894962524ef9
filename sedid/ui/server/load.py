"""Load: many visitors at once on an app of this machine, and what they had to wait for.

Each visitor is a thread that asks the public endpoints for one thing after another, drawn from a stated mix: a new picture, the
same at another T_SEC (which costs no evaluation), the same at another k, a zip of pictures. Compare ratios of one run or of two
beside each other, never seconds of two machines.
"""

import base64
import io
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil
from PIL import Image
from pydantic import Field

from sedid.config import Count, Seed, Settings, Whole
from sedid.detector.bundle import SHIPPED, load_detector, made_with
from sedid.progress import Meter, Progress
from sedid.storage import write_json
from sedid.ui import LOCAL

START = 120.0  # seconds within which the app has to answer
PATIENCE = 120.0  # seconds a visitor waits for an answer
OTHER_KS = (110, 245, 330)
IN_A_BATCH = 20
NETWORK_BATCH = 32
WAIT = "Please wait"  # in what a visitor over the limit reads


@dataclass(frozen=True)
class LoadConfig(Settings):
    """Settings of `load`.

    Attributes:
        visitors, seconds: how many, for how long.
        alone: seconds for which one visitor inspects new pictures before the others come.
        inspect, move, step, batch: how often each is drawn: a new picture, another T_SEC, another k, a zip of 20 pictures.
        url: an app that runs on this machine already; empty: one is started, and ended.
        detector: that app's, and whose bare network is measured for comparison.
        public: start it as a public page, with its limits.
        out: the folder of load.json.
    """

    visitors: Annotated[int, Field(ge=1, le=64)] = 32
    seconds: Annotated[int, Field(ge=2, le=600)] = 60
    alone: Annotated[int, Field(ge=0, le=60)] = 10
    inspect: Whole = 6
    move: Whole = 8
    step: Whole = 3
    batch: Whole = 1
    url: str = ""
    detector: str = ""
    public: bool = False
    out: str = "runs/load"
    seed: Seed = 0


@dataclass(frozen=True)
class Waits:
    """Seconds between a question and its answer.

    Attributes:
        count: answers.
        p50, p95, worst: None without any.
    """

    count: int
    p50: float | None
    p95: float | None
    worst: float | None

    @classmethod
    def of(cls, seconds: list[float]) -> "Waits":
        """Of all waits."""
        if not seconds:
            return cls(0, None, None, None)
        middle, most = np.quantile(seconds, (0.5, 0.95)).tolist()
        return cls(len(seconds), round(middle, 3), round(most, 3), round(max(seconds), 3))


@dataclass(frozen=True)
class LoadResults:
    """What load.json holds.

    Attributes:
        settings: of the run, without the places of this machine.
        cores: of this machine.
        seconds: the crowd was there.
        pictures_per_second: pictures walked and judged for all visitors together.
        network_per_second: pictures a second of the bare network at the same k, in batches of 32; 0 where not measured.
        of_network: their ratio; None without the latter.
        cpu_per_picture: seconds of processor time that the app's process spent for each; None without pictures.
        alone, all: waits of the one visitor before the others came, and of everybody.
        by_kind: waits of each kind of question.
        told_to_wait: how many were refused because they had had their share, and read how long to wait.
        sentence: what one of them read.
        errors: how often each other refusal or failure came, by its words.
        megabytes: memory of the app's process, once a second.
        growth: of the memory over the last two thirds of the time, as a share (means of a sixth of the time each).
        versions: of the code that was measured.
    """

    settings: dict[str, Any]
    cores: int
    seconds: float
    pictures_per_second: float
    network_per_second: float
    of_network: float | None
    cpu_per_picture: float | None
    alone: Waits
    all: Waits
    by_kind: dict[str, Waits]
    told_to_wait: int
    sentence: str
    errors: dict[str, int]
    megabytes: list[int]
    growth: float | None
    versions: dict[str, str]
    format: int = 1


@dataclass(frozen=True)
class Answer:
    """One question and what came of it.

    Attributes:
        kind: of question.
        began, seconds: when it was asked (monotonic), and how long it took.
        pictures: that were walked for it.
        refused: the sentence; "" where there was an answer.
    """

    kind: str
    began: float
    seconds: float
    pictures: int
    refused: str


class Visitor:
    """One open page, as a program.

    Args:
        number: another one for another visitor; who has the same asks the same.
    """

    def __init__(self, url: str, config: LoadConfig, number: int, at: "Pair") -> None:
        self.random = random.Random(f"{config.seed} {number}")  # noqa: S311  of visitors, not of secrets
        self.config, self.at = config, at
        self.session = f"load-{config.seed}-{number}"
        self.http = httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False)
        self.picture = self.a_picture()

    def a_picture(self) -> bytes:
        """A new one: coarse noise, as PNG."""
        coarse = np.frombuffer(self.random.randbytes(8 * 8 * 3), np.uint8).reshape(8, 8, 3)
        file = io.BytesIO()
        Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC).save(file, "PNG")
        return file.getvalue()

    def draw(self) -> str:
        """What to ask next."""
        kinds = ("inspect", "move", "step", "batch")
        return self.random.choices(kinds, [getattr(self.config, kind) for kind in kinds])[0]

    def ask(self, kind: str) -> Answer:
        """Ask, and wait for the answer."""
        if kind == "inspect":
            self.picture = self.a_picture()
        k = self.random.choice(OTHER_KS) if kind == "step" else self.at.k
        t_sec = self.random.choice(range(k, 991, k)) if kind in ("move", "step") else 0
        began = time.monotonic()
        try:
            if kind == "batch":
                refused = self.call("score_batch", [[self.upload()], "default"])
            else:
                uri = f"data:image/png;base64,{base64.b64encode(self.picture).decode()}"
                refused = self.call("inspect", [file_data("picture.png", None, url=uri), k, t_sec, "default"])
        except httpx.HTTPError as error:
            refused = f"{type(error).__name__}"
        pictures = {"batch": IN_A_BATCH, "move": 0}.get(kind, 1)
        return Answer(kind, began, time.monotonic() - began, 0 if refused else pictures, refused)

    def call(self, endpoint: str, data: list[Any]) -> str:
        """Why an endpoint refused; "" where it answered."""
        body = {"data": data, "session_hash": self.session}
        joined = self.http.post(f"gradio_api/call/{endpoint}", json=body)
        if joined.status_code != 200:
            return str(joined.json().get("detail", joined.status_code))
        event = ""
        with self.http.stream("GET", f"gradio_api/call/{endpoint}/{joined.json()['event_id']}") as lines:
            for line in lines.iter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    event = value
                elif name == "data" and event == "complete":
                    return ""
                elif name == "data" and event == "error":
                    said = json.loads(value)
                    return str(said.get("error", said) if isinstance(said, dict) else said)
        return "the answer broke off"

    def upload(self) -> dict[str, Any]:
        """A zip of pictures, as the server names it."""
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as packed:
            for place in range(IN_A_BATCH):
                packed.writestr(f"{place}.png", self.a_picture())
        (path,) = self.http.post("gradio_api/upload", files={"files": ("20.zip", file.getvalue())}).json()
        return file_data("20.zip", path)


def file_data(name: str, path: str | None, **more: str) -> dict[str, Any]:
    """A file as Gradio's clients name it."""
    return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}} | more


@dataclass(frozen=True)
class Pair:
    """Where new pictures are judged, and what the bare network would do there.

    Attributes:
        k: of the detector's own pair.
        per_second: pictures a second of the bare network; 0 where not measured.
    """

    k: int
    per_second: float


def load(config: LoadConfig) -> Generator[Progress, None, Path]:
    """Measure an app under load.

    Returns:
        load.json.

    Raises:
        ValueError: the address is not one of this machine, or nothing is asked for.
        OSError, RuntimeError: the detector, the app or the folder cannot be used.
    """
    if config.url and urlsplit(config.url).hostname not in LOCAL:
        raise ValueError(f"only an app of this machine is put under load ({', '.join(LOCAL)}), not {config.url}")
    if not config.inspect + config.step + config.batch + config.move:
        raise ValueError("nothing is asked for: one of inspect, move, step and batch must be above 0")
    file = Path(config.out) / "load.json"
    file.parent.mkdir(parents=True, exist_ok=True)  # before minutes of work whose figures could not be written
    meter = Meter("visiting", config.alone + config.seconds, "seconds")
    yield meter.at(0)
    at = bare_network(config.detector or str(SHIPPED))
    with running(config) as (url, process):
        first = Visitor(url, config, 0, at)
        first.ask("inspect")  # whatever is only done once
        alone: list[Answer] = []
        end = time.monotonic() + config.alone
        while time.monotonic() < end:
            alone.append(first.ask("inspect"))
            yield meter.at(round(config.alone - max(0.0, end - time.monotonic())))
        crowd = Crowd([Visitor(url, config, number, at) for number in range(1, config.visitors + 1)])
        memory: list[int] = []
        before = spent(process)
        crowd.start()
        while (passed := crowd.passed()) < config.seconds:
            time.sleep(min(1.0, config.seconds - passed))
            memory.append(round(process.memory_info().rss / 1e6))
            yield meter.at(config.alone + round(crowd.passed()), answers=len(crowd.answers))
        processor = spent(process) - before
        answers, seconds = crowd.stop(), crowd.passed()
    found = results(config, at, alone, answers, seconds, processor, memory)
    write_json(file, asdict(found))
    return file


class Crowd:
    """Visitors at work, until they are told to stop."""

    def __init__(self, visitors: list[Visitor]) -> None:
        self.visitors, self.answers = visitors, list[Answer]()
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=[one], daemon=True) for one in visitors]
        self._began = self._ended = 0.0

    def start(self) -> None:
        """All come at once."""
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()

    def _visit(self, visitor: Visitor) -> None:
        while not self._stopped.is_set():
            answer = visitor.ask(visitor.draw())
            self.answers.append(answer)
            if answer.refused:
                self._stopped.wait(0.2)  # as people do

    def passed(self) -> float:
        """Seconds since they came, until they were stopped."""
        return (self._ended or time.monotonic()) - self._began

    def stop(self) -> list[Answer]:
        """The answers that came in time."""
        self._ended = time.monotonic()
        self._stopped.set()
        answers = list(self.answers)
        for thread in self._threads:
            thread.join(PATIENCE)
        return answers


def spent(process: psutil.Process) -> float:
    """Seconds of processor time of a process so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def results(
    config: LoadConfig,
    at: Pair,
    alone: list[Answer],
    answers: list[Answer],
    seconds: float,
    processor: float,
    memory: list[int],
) -> LoadResults:
    """What was seen, in figures."""
    good = [answer for answer in answers if not answer.refused]
    refused = [answer.refused for answer in answers if answer.refused]
    told = [words for words in refused if WAIT in words]
    pictures = sum(answer.pictures for answer in good)
    per_second = pictures / seconds
    places = ("url", "detector", "out")
    sixth = max(1, len(memory) // 6)
    first, last = memory[2 * sixth : 3 * sixth], memory[-sixth:]
    return LoadResults(
        settings={name: value for name, value in asdict(config).items() if name not in places},
        cores=os.cpu_count() or 1,
        seconds=round(seconds, 1),
        pictures_per_second=round(per_second, 2),
        network_per_second=round(at.per_second, 2),
        of_network=round(per_second / at.per_second, 3) if at.per_second else None,
        cpu_per_picture=round(processor / pictures, 4) if pictures else None,
        alone=Waits.of([answer.seconds for answer in alone if not answer.refused]),
        all=Waits.of([answer.seconds for answer in good]),
        by_kind={
            kind: Waits.of([answer.seconds for answer in good if answer.kind == kind])
            for kind in sorted({answer.kind for answer in answers})
        },
        told_to_wait=len(told),
        sentence=told[0] if told else "",
        errors=dict(Counter(words for words in refused if WAIT not in words)),
        megabytes=memory,
        growth=round(float(np.mean(last) / np.mean(first)) - 1, 4) if first and last else None,
        versions=made_with(),
    )


def bare_network(source: str, repeats: Count = 3) -> Pair:
    """The pair of a detector, and how many pictures a second its network alone walks there, in batches of 32."""
    detector = load_detector(source, device="cpu")
    k, _ = detector.uniform
    images = np.random.default_rng(0).integers(0, 256, (NETWORK_BATCH, detector.size, detector.size, 3), np.uint8)
    fastest = float("inf")
    x = next(detector.walk(images, k)).x
    for _ in range(repeats):
        began = time.perf_counter()
        detector.eps_model(x, k)
        fastest = min(fastest, time.perf_counter() - began)
    return Pair(k, NETWORK_BATCH / (fastest * detector.evaluations(k)))


@contextmanager
def running(config: LoadConfig) -> Iterator[tuple[str, psutil.Process]]:
    """An app that answers, and its process.

    Raises:
        RuntimeError: there is none.
    """
    if config.url:
        answers(config.url)
        yield config.url, listener(urlsplit(config.url).port or 80)
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, environment = f"http://127.0.0.1:{port}/", dict(os.environ)
    environment |= {
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "SEDID_PUBLIC": str(int(config.public)),
    }
    if config.detector:
        environment["SEDID_DETECTOR"] = config.detector
    started = subprocess.Popen(
        [sys.executable, "-m", "sedid", "app"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        answers(url, started)
        yield url, psutil.Process(started.pid)
    finally:
        started.terminate()
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()


def answers(url: str, started: "subprocess.Popen[bytes] | None" = None) -> None:
    """Wait until an app answers.

    Raises:
        RuntimeError: it does not.
    """
    end = time.monotonic() + (START if started else 5)
    with httpx.Client(timeout=10, trust_env=False) as client:  # one: to make it takes longer than to ask
        while time.monotonic() < end and (started is None or started.poll() is None):
            try:
                if client.get(url).status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.05)
    raise RuntimeError(f"no app answers at {url}")


def listener(port: int) -> psutil.Process:
    """The process that listens on a port of this machine.

    Raises:
        RuntimeError: it cannot be told which.
    """
    for found in psutil.net_connections("tcp"):
        if found.status == psutil.CONN_LISTEN and found.laddr.port == port and found.pid:
            return psutil.Process(found.pid)
    raise RuntimeError(f"it cannot be told which process listens on port {port}")
