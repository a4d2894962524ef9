"""Jobs: most of these run a light stand-in for the loops; the last ones the real command line."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from helpers.light_jobs import LightStore, wait_for

from sedid.jobs.folder import as_progress, job_file, process_of, read_records, tail, update
from sedid.jobs.store import Job, JobStore, as_toml, bundle_of, last_words
from sedid.paths import ROOT
from sedid.storage import read_json


@pytest.fixture
def store(runs: Path) -> LightStore:
    return LightStore(runs)


def start(store: JobStore, **settings: object) -> Job:
    given = {"data": "sample:real"} | settings
    return store.start("train-ddpm", [f"{key}={value}" for key, value in given.items()], "demo")


def order(runs: Path, text: str) -> None:
    runs.mkdir(exist_ok=True)
    (runs / "order").write_text(text)


def state(store: JobStore, job: Job) -> str:
    return store.get(job.id).state


def test_a_job_runs_to_its_end_and_leaves_its_files(store: LightStore, runs: Path) -> None:
    job = start(store, steps=77)
    assert job.state in ("queued", "running")
    wait_for(lambda: state(store, job) == "running" and read_records(job.folder))
    assert 'data = "sample:real"' in (job.folder / "config.toml").read_text()
    assert "steps = 77" in (job.folder / "config.toml").read_text()
    assert 'unet = "demo"' in (job.folder / "config.toml").read_text()  # the preset
    order(runs, "finish")
    wait_for(lambda: state(store, job) == "done")
    ended = store.get(job.id)
    assert (ended.exit_code, ended.error, ended.command, ended.preset) == (0, "", "train-ddpm", "demo")
    assert ended.began is not None
    assert ended.ended is not None
    assert ended.created <= ended.began <= ended.ended
    assert store.disk_used() > 0
    records = read_records(job.folder)
    assert [record["done"] for record in records] == list(range(1, len(records) + 1))
    with pytest.raises(ValueError, match="nothing to stop"):
        store.stop(job.id)
    with pytest.raises(ValueError, match="only a stopped or failed job can be resumed"):
        store.resume(job.id)


def test_stop_resume_and_delete(store: LightStore, runs: Path) -> None:
    job = start(store)
    wait_for(lambda: "working hard" in last_words(job))
    with pytest.raises(ValueError, match="stop it first"):
        store.delete(job.id)
    assert (store.stop(job.id).state, store.get(job.id).exit_code) == ("stopped", 130)
    assert store.resume(job.id).active
    with pytest.raises(ValueError, match="only a stopped or failed job"):
        store.resume(job.id)
    wait_for(lambda: state(store, job) == "running" and last_words(job).count("working hard") == 2)
    order(runs, "finish")
    wait_for(lambda: state(store, job) == "done")
    records = [record["done"] for record in read_records(job.folder)]
    assert records == sorted(set(records))  # what was done twice is counted once
    store.delete(job.id)
    assert not job.folder.exists()
    assert store.jobs() == []


def test_a_job_that_does_not_listen_is_killed(store: LightStore, runs: Path) -> None:
    order(runs, "deaf")
    job = start(store)
    wait_for(lambda: (job.folder / "deaf").exists())
    assert store.stop(job.id, grace=0.3).state == "stopped"
    assert process_of(read_json(job_file(job.folder))) is None


def test_errors_and_sudden_deaths_are_shown_as_failed(store: LightStore, runs: Path) -> None:
    order(runs, "fail")
    job = start(store)
    wait_for(lambda: state(store, job) == "failed")
    assert store.get(job.id).error == "no luck today"
    wait_for(lambda: "ValueError: no luck today" in "".join(last_words(job)))  # printed after the state is set

    order(runs, "")
    job = start(store)
    wait_for(lambda: "working hard" in last_words(job))
    os.kill(read_json(job_file(job.folder))["pid"], signal.SIGKILL)
    wait_for(lambda: state(store, job) == "failed")
    killed = store.get(job.id)
    assert killed.exit_code == -9
    assert "exit code -9" in killed.error
    assert last_words(job) == ["working hard"]
    assert JobStore(runs).get(job.id).state == "failed"  # though this one was never its parent
    assert store.resume(job.id).active
    store.stop(job.id)


def test_jobs_queue_in_order_and_move_on_without_a_watcher(store: LightStore, runs: Path) -> None:
    first, second, third = start(store), start(store), start(store)
    wait_for(lambda: "working hard" in last_words(first))
    assert [state(store, job) for job in (first, second, third)] == ["running", "queued", "queued"]
    assert [job.id for job in store.jobs()] == [third.id, second.id, first.id]
    assert store.stop(second.id).state == "stopped"
    os.kill(read_json(job_file(first.folder))["pid"], signal.SIGKILL)
    wait_for(lambda: "working hard" in last_words(third))
    assert [state(store, job) for job in (first, second, third)] == ["failed", "stopped", "running"]
    fourth = start(store)
    store.resume(second.id)  # behind the one that waits already
    wait_for(lambda: read_json(job_file(second.folder)).get("pid"))
    order(runs, "finish")
    wait_for(lambda: all(state(store, job) == "done" for job in (second, third, fourth)))
    assert store.get(fourth.id).began < store.get(second.id).began  # type: ignore[operator]


def test_a_new_store_takes_over(store: LightStore, runs: Path) -> None:
    job = start(store)
    wait_for(lambda: "working hard" in last_words(job))
    again = LightStore(runs)
    assert [(found.id, found.state) for found in again.jobs()] == [(job.id, "running")]
    assert again.stop(job.id).state == "stopped"
    assert state(store, job) == "stopped"


APP = """
import os, signal, sys
from pathlib import Path
from helpers.light_jobs import LightStore, wait_for
from sedid.jobs.store import last_words
job = LightStore(Path(sys.argv[1])).start("train-ddpm", ["data=sample:real"], "demo")
wait_for(lambda: "working hard" in last_words(job))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_job_outlives_the_app_that_started_it(runs: Path) -> None:
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    killed = subprocess.run([sys.executable, "-c", APP, str(runs)], env=os.environ | {"PYTHONPATH": paths})
    assert killed.returncode == -signal.SIGKILL
    later = LightStore(runs)
    [job] = later.jobs()
    assert job.state == "running"
    done = read_records(job.folder)[-1]["done"]
    wait_for(lambda: read_records(job.folder)[-1]["done"] > done)
    assert later.stop(job.id).state == "stopped"
    assert process_of(read_json(job_file(job.folder))) is None


def test_a_reused_process_id_is_not_the_job(store: LightStore, runs: Path) -> None:
    job = start(store)
    store.stop(job.id)
    me = psutil.Process()
    update(job.folder, state="running", stop=False, pid=me.pid, process_started=me.create_time() - 3600)
    assert state(store, job) == "failed"
    store.delete(job.id)
    assert me.is_running()


@pytest.mark.parametrize("id", ["..", "../runs", "/etc", "", ".", "a/b", "A", "a\0b", "x" * 200, "-a", "..\\a"])
def test_ids_cannot_leave_the_runs_folder(store: LightStore, runs: Path, id: str) -> None:
    runs.mkdir()
    (runs.parent / "job.json").write_text("{}")
    for act in (store.get, store.stop, store.resume, store.delete):
        with pytest.raises(ValueError, match="is not the id of a job"):
            act(id)


def test_a_link_out_of_the_runs_folder_is_refused(store: LightStore, runs: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "job.json").write_text('{"state": "done", "command": "loop", "preset": "", "created": 0}')
    runs.mkdir()
    (runs / "link").symlink_to(outside)
    with pytest.raises(ValueError, match="is not the id of a job"):
        store.delete("link")
    assert (outside / "job.json").is_file()
    assert store.jobs() == []
    with pytest.raises(ValueError, match="there is no job absent"):
        store.get("absent")


def test_a_full_runs_folder_starts_nothing(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDID_RUNS", str(runs))
    monkeypatch.setenv("SEDID_RUNS_MAX_GB", "0.00001")
    store = LightStore()
    assert store.folder == runs
    runs.mkdir()
    (runs / "big").write_bytes(bytes(20_000))
    with pytest.raises(
        ValueError, match=r"more than its limit of 1e-05 GB: delete old jobs, or raise SEDID_RUNS_MAX_GB"
    ):
        start(store)
    assert list(runs.glob("*/")) == []


def test_a_disk_that_is_nearly_full_starts_nothing(store: LightStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDID_DISK_FREE_GB", "1e9")
    with pytest.raises(ValueError, match=r"GB left, less than the 1e\+09 GB .* lower SEDID_DISK_FREE_GB"):
        start(store)
    monkeypatch.setenv("SEDID_DISK_FREE_GB", "much")
    with pytest.raises(ValueError, match="SEDID_DISK_FREE_GB is 'much': input should be a valid number"):
        start(store)
    assert store.jobs() == []


def test_a_job_ends_when_the_runs_folder_gets_too_full(runs: Path) -> None:
    store = LightStore(runs, limit_gb=0.05)
    job = start(store)
    wait_for(lambda: "working hard" in last_words(job))
    with (runs / "big").open("wb") as file:
        file.truncate(60_000_000)
    wait_for(lambda: state(store, job) == "failed")
    said = "the runs folder holds 0.06 GB, more than its limit of 0.05 GB: delete old jobs, or raise SEDID_RUNS_MAX_GB"
    assert store.get(job.id).error.startswith(f"{said}; then resume")
    wait_for(lambda: said in "".join(last_words(job)))
    with pytest.raises(ValueError, match="delete old jobs"):
        store.resume(job.id)
    (runs / "big").unlink()
    assert store.resume(job.id).active
    wait_for(lambda: last_words(job).count("working hard") == 2)
    store.stop(job.id)


def test_what_a_killed_process_left_half_written_goes_with_its_resume(store: LightStore, runs: Path) -> None:
    job = start(store)
    store.stop(job.id)
    for name in (".state.4711.140235.safetensors", ".job.lock", "state.safetensors"):
        (job.folder / name).write_bytes(b"x")
    (job.folder / "bundle" / "sedid" / ".parts-x1_y" / "new").mkdir(parents=True)
    store.resume(job.id)
    wait_for(lambda: state(store, job) == "running" and read_records(job.folder))
    assert not (job.folder / ".state.4711.140235.safetensors").exists()
    assert list((job.folder / "bundle" / "sedid").iterdir()) == []
    assert (job.folder / "state.safetensors").exists()
    store.stop(job.id)


@pytest.mark.parametrize(
    ("command", "settings", "said"),
    [
        ("train-ddpm", [], "data must be given"),
        ("train-ddpm", ["data=x", "stepz=3"], "did you mean 'steps'"),
        ("train-ddpm", ["data=x", "steps=many"], "steps must be a whole number"),
        ("train-ddpm", ["data=x", "out=/tmp"], "out is the job's own folder"),
        ("inspect", [], "unknown command 'inspect'; accepted: train-ddpm, generate"),
        ("generate", ["detector=nowhere"], "no detector at nowhere"),
    ],
)
def test_settings_are_checked_before_the_start(
    store: LightStore, runs: Path, command: str, settings: list[str], said: str
) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        store.start(command, settings)
    assert store.jobs() == []
    assert list(runs.glob("2*")) == []


def test_loops_that_change_their_detector_get_a_copy(store: LightStore, tiny_bundle: Path) -> None:
    job = store.start("calibrate", [f"detector={tiny_bundle}", "real=sample:real", "generated=sample:generated"])
    assert f'detector = "{(job.folder / "bundle").as_posix()}"' in (job.folder / "config.toml").read_text()
    assert (job.folder / "bundle" / "unet" / "config.json").is_file()
    store.stop(job.id)
    chained = store.start("train-nn", [f"detector={job.folder}", "real=sample:real", "generated=sample:generated"])
    assert (chained.folder / "bundle" / "unet" / "config.json").is_file()
    store.stop(chained.id)
    sets = {"detector": tiny_bundle, "real": "sample:real", "generated": "sample:generated", "ks": "[495]"}
    swept = store.start("sweep", [f"{key}={value}" for key, value in sets.items()])
    assert f'out = "{swept.folder.as_posix()}"' in (swept.folder / "config.toml").read_text()
    assert not (swept.folder / "bundle").exists()  # it changes nothing
    store.stop(swept.id)


def test_a_training_run_is_exported_where_its_weights_are_wanted(tmp_path: Path, images_npz: Path) -> None:
    from sedid.training.train_ddpm import TrainDDPMConfig, train_ddpm

    run = tmp_path / "run"
    common = {"data": str(images_npz), "out": str(run), "unet": "demo", "device": "cpu"}
    list(train_ddpm(TrainDDPMConfig(**common, steps=1, batch_size=2, samples=0)))
    bundle = bundle_of(run)
    assert (bundle / "unet" / "config.json").is_file()
    stamp = (bundle / "sedid" / "detector.json").stat().st_mtime_ns
    assert bundle_of(run) == bundle
    assert (bundle / "sedid" / "detector.json").stat().st_mtime_ns == stamp  # made once
    os.utime(run / "best.safetensors", ns=(stamp + 10**9, stamp + 10**9))
    bundle_of(run)
    assert (bundle / "sedid" / "detector.json").stat().st_mtime_ns != stamp  # better weights came


def test_toml_keeps_every_value(tmp_path: Path) -> None:
    import tomllib

    settings = {"a": 'quote " back \\ bell \x07 del \x7f é', "b": 1, "c": 1e-05, "d": True, "e": (165, 330), "f": None}
    kept = tomllib.loads(as_toml(settings))
    assert kept == {name: list(v) if isinstance(v, tuple) else v for name, v in settings.items() if v is not None}


def test_records_survive_cut_lines_and_are_bounded(tmp_path: Path) -> None:
    training = {"step": 5, "steps": 9, "loss": 0.5, "learning_rate": 1e-4, "heldout_loss": None}
    training |= {"images_per_second": 3.0, "eta_seconds": 2.0}
    assert as_progress(training)["values"] == {"loss": 0.5, "learning_rate": 1e-4}
    rows = [json.dumps(training | {"step": step}) for step in (1, 2, 3, 2, 3, 4)]
    (tmp_path / "metrics.jsonl").write_text("\n".join([*rows, '{"step": 5, "st']))
    assert [record["done"] for record in read_records(tmp_path)] == [1, 2, 3, 4]
    assert [record["done"] for record in read_records(tmp_path, limit=2 * len(rows[0]))] == [4]
    assert read_records(tmp_path / "nowhere") == []
    assert tail(tmp_path / "nowhere") == []


def test_the_real_command_line_trains_stops_resumes_and_generates(
    runs: Path, images_npz: Path, tiny_bundle: Path
) -> None:
    store = JobStore(runs)
    light = {
        "data": images_npz,
        "start": tiny_bundle,
        "batch_size": 4,
        "log_every": 1,
        "save_every": 1,
        "device": "cpu",
    }
    job = start(store, **light, steps=100_000, eval_every=2, samples=4)
    wait_for(lambda: not store.get(job.id).active or list(job.folder.glob("samples/*.png")))
    assert store.stop(job.id).state == "stopped", last_words(job)
    done = read_records(job.folder)[-1]["done"]
    assert "stopped; the same command continues" in "\n".join(last_words(job))

    config = job.folder / "config.toml"
    config.write_text(config.read_text().replace("steps = 100000", f"steps = {done + 2}", 1))
    store.resume(job.id)
    wait_for(lambda: not store.get(job.id).active)
    assert state(store, job) == "done", last_words(job)
    steps = [record["done"] for record in read_records(job.folder)]
    assert steps == list(range(1, done + 3))

    settings = {"detector": tiny_bundle, "count": 4, "steps": 2, "sampler": "ddim", "batch_size": 2, "device": "cpu"}
    made = store.start("generate", [f"{key}={value}" for key, value in settings.items()])
    wait_for(lambda: not store.get(made.id).active)
    assert state(store, made) == "done", last_words(made)
    assert np.load(made.folder / "images.npz", allow_pickle=False)["images"].shape == (4, 32, 32, 3)
    assert [record["done"] for record in read_records(made.folder)] == [1, 2, 3, 4]
