"""The command line: option parsing, printing and exit codes; the work is done elsewhere.

Exit codes: 0 done, 1 refused or incomplete (one sentence on stderr), 2 wrong usage, 130 stopped by Ctrl-C.
torch takes seconds to import, so each command imports what it needs.
"""

import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sedid import processes
from sedid.errors import sentence
from sedid.jobs.commands import COMMANDS, Command

if TYPE_CHECKING:
    from sedid.detector.detector import Detector
    from sedid.method.diffusion import Steps

app = typer.Typer(
    help="Step-wise error detection of diffusion-generated images (SeDID, arXiv 2307.06272).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

DetectorOption = Annotated[
    str, typer.Option("--detector", help="Bundle folder, diffusers DDPM folder or Hub id; default: the shipped one.")
]
KOption = Annotated[int | None, typer.Option("--k", help="Step size; default: the calibrated one.")]
TSecOption = Annotated[
    int | None, typer.Option("--t-sec", help="A multiple of k, or a timestep of the path; default: the calibrated one.")
]
PathOption = Annotated[
    str, typer.Option("--path", help="In place of --k: timesteps of steps that are not all of one size, 0,495,825,990.")
]
DeviceOption = Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")]
PrecisionOption = Annotated[str, typer.Option(help="fp32 or bf16 (the network alone).")]
PromptOption = Annotated[
    str | None,
    typer.Option(
        "--prompt", help="What a conditional model is told: a text, or the number of a class; default: its own."
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Write over what this program did not write.")]


class OnStderr(logging.Handler):
    """What the engine says besides its results, such as how pictures were converted; of several processes once."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line, in place of a progress line that stands there."""
        if processes.is_main():
            typer.echo("\r\x1b[K" * sys.stderr.isatty() + self.format(record), err=True)


@app.callback()
def console() -> None:
    """Before any command: stderr is for our own sentences."""
    warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged metadata, with the paths of this machine
    ours = logging.getLogger("sedid")
    ours.setLevel(logging.INFO)
    ours.handlers = [OnStderr()]


@contextmanager
def plain_errors(on_stop: str = "nothing was written") -> Iterator[None]:
    """Turn errors that teach into one sentence on stderr, without a traceback."""
    try:
        yield
    except (ValueError, OSError, MemoryError, RuntimeError) as error:
        where = "" if processes.is_main() else f" in process {processes.index()}"
        if not (said := sentence(error)):
            raise
        typer.echo(f"error{where}: {said}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        typer.echo(f"\nstopped; {on_stop}", err=True)
        raise typer.Exit(130) from error


def say(text: str, err: bool = False) -> None:
    """Print a line; of several processes only the main one does."""
    if processes.is_main():
        typer.echo(text.encode("utf-8", "backslashreplace").decode(), err=err)  # names of files need not be UTF-8


def quiet() -> None:
    """Switch off diffusers' own progress bars: stderr is for ours."""
    from diffusers.utils import logging

    logging.disable_progress_bar()


def open_detector(source: str, device: str, precision: str, prompt: str | None = None) -> "Detector":
    """`load_detector`, the shipped one by default."""
    from sedid.detector.bundle import SHIPPED, load_detector

    quiet()
    return load_detector(source or SHIPPED, device, precision, prompt=prompt)


def walk_of(k: int | None, path: str) -> "Steps | None":
    """How a trajectory shall walk: --k or --path; None for the calibrated walk.

    Raises:
        ValueError: both are given, or the path is none.
    """
    from sedid.method.diffusion import read_steps

    if k is not None and path:
        raise ValueError("give --k or --path, not both: a path says how large each step is")
    return read_steps(path) if path else k


@app.command()
def inspect(
    image: Annotated[str, typer.Argument(help="An image file.")],
    detector: DetectorOption = "",
    prompt: PromptOption = None,
    k: KOption = None,
    path: PathOption = "",
    t_sec: TSecOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
    figure: Annotated[Path | None, typer.Option(help="Also draw the whole inspection: .png, .svg or .pdf.")] = None,
    case: Annotated[Path | None, typer.Option("--report", help="Also write a case report: .html, printable.")] = None,
    stability: Annotated[bool, typer.Option("--stability", help="Check the verdict over mild re-encodings.")] = False,
    tiles: Annotated[bool, typer.Option("--tiles", help="Score a large picture in tiles at its full size.")] = False,
    force: ForceOption = False,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "fp32",
) -> None:
    """Judge one image: verdicts, scores and where they fall among the references."""
    with plain_errors():
        from sedid.data.outputs import FIGURE, PAGE, check_file
        from sedid.data.spec import local_path

        local_path(image)
        for file, kind in ((figure, FIGURE), (case, PAGE)):
            if file is not None:
                check_file(file, kind, [image], force)

        from sedid.detector.words import as_dict, as_lines

        opened = open_detector(detector, device, precision, prompt)
        found = opened.inspect(image, t_sec=t_sec, k=walk_of(k, path))
        if figure is not None:
            from sedid.report.figures import inspection_figure, save_figure

            save_figure(inspection_figure(found, opened), figure)
        more, lines = {}, []
        if case is not None or stability or tiles:
            from sedid.report import case as case_report

            extras = case_report.examine(opened, found, Path(image), stability, tiles)
            more, lines = case_report.extras_dict(extras), case_report.as_lines(extras)
            if case is not None:
                case_report.write_case(case, case_report.case_report(opened, found, Path(image).name, extras))
        if as_json:
            typer.echo(json.dumps(as_dict(image, found, opened) | more, indent=2))
        else:
            typer.echo("\n".join([*as_lines(image, found, opened), *([""] if lines else []), *lines]))


@app.command()
def score(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Images, folders, .zip, .npz or data sets.")],
    out: Annotated[Path, typer.Option(help="The CSV file to write.")],
    detector: DetectorOption = "",
    prompt: PromptOption = None,
    k: KOption = None,
    path: PathOption = "",
    t_sec: TSecOption = None,
    batch_size: Annotated[int, typer.Option(help="Images at a time.")] = 32,
    force: ForceOption = False,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "fp32",
) -> None:
    """Judge many images into a CSV file; exit code 1 if some could not be read."""
    with plain_errors():
        from sedid.data.outputs import TABLE, check_file
        from sedid.storage import is_stream

        check_file(out, TABLE, paths, force)
        streamed = is_stream(out)
    with plain_errors("the rows so far are written" if streamed else f"the rows so far are in {out}.part"):
        from sedid.detector.csv_file import score_files
        from sedid.jobs.console import ProgressLine
        from sedid.progress import finish

        opened = open_detector(detector, device, precision, prompt)
        with ProgressLine() as progress:
            summary = finish(score_files(opened, paths, out, walk_of(k, path), t_sec, batch_size, force), progress.show)
    for line in summary.in_words():
        say(line, err=streamed)
    raise typer.Exit(1 if summary.failed else 0)


@app.command()
def whose(
    image: Annotated[str, typer.Argument(help="An image file.")],
    detector: Annotated[
        list[str] | None,
        typer.Option("--detector", help="A detector to ask, as often as there are; default: all in checkpoints/."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "fp32",
) -> None:
    """Ask several detectors about one image: where it lies among the references of each, never a ranking."""
    with plain_errors():
        from functools import partial

        from sedid.data.images import read_image
        from sedid.detector.whose import as_dict, as_lines, ask
        from sedid.paths import CHECKPOINTS

        picture = read_image(image).image  # refused once, not by each of them
        own = {one.parent.name: str(one.parent) for one in sorted(CHECKPOINTS.glob("*/model_index.json"))}
        sources = {name: name for name in detector} if detector else own
        if not sources:
            raise ValueError("there is no detector to ask: name some with --detector")
        answers = [
            ask(name, partial(open_detector, source, device, precision), lambda opened: opened.inspect(picture))
            for name, source in sources.items()
        ]
        typer.echo(json.dumps(as_dict(answers), indent=2) if as_json else "\n".join(as_lines(answers)))


@app.command()
def bench(
    detector: DetectorOption = "",
    out: Annotated[Path, typer.Option(help="The JSON file to write.")] = Path("bench.json"),
    device: DeviceOption = "auto",
    quick: Annotated[bool, typer.Option(help="Check only that everything runs: tiny networks, one repeat.")] = False,
    force: ForceOption = False,
) -> None:
    """Measure speed, as ratios beside the bar each is held to."""
    with plain_errors():
        from sedid.data.outputs import SPEED, check_file

        check_file(out, SPEED, force=force)

        from sedid.detector.bundle import SHIPPED, resolve
        from sedid.jobs.console import ProgressLine
        from sedid.progress import finish
        from sedid.studies import speed as measuring

        quiet()
        loop = measuring.bench(resolve(detector or SHIPPED), out, device=device, quick=quick)
        with ProgressLine() as progress:
            result = finish(loop, progress.show)
    typer.echo(measuring.table(result))


@app.command()
def verify(
    source: Annotated[str, typer.Argument(help="An evaluated bundle, or the results file of an evaluation or study.")],
    detector: Annotated[str, typer.Option(help="Whose results they are; default: the bundle they lie in.")] = "",
    data: Annotated[
        list[str] | None, typer.Option(help="A data set to look for the images in; may be repeated.")
    ] = None,
    count: Annotated[int, typer.Option(min=0, help="Score the first images of each set alone; 0: all.")] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value, in place of what a study's file records; may be repeated."),
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Score the images behind published figures anew and compare; exit code 1 if something differs."""
    with plain_errors():
        from sedid.jobs.console import ProgressLine
        from sedid.progress import finish
        from sedid.recipes.rerun import rerun
        from sedid.recipes.verify import verify as compare_anew

        quiet()
        file = Path(source)
        if file.is_file() and file.name != "results.json":
            loop = rerun(file, settings or (), detector, device)
        else:
            loop = compare_anew(source, data or (), count, detector, device)
        with ProgressLine() as progress:
            found = finish(loop, progress.show)
    say("\n".join(found.lines()))
    raise typer.Exit(0 if found.passed else 1)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="The run folder of train-ddpm or train-latent.")],
    bundle: Annotated[Path, typer.Argument(help="The bundle folder to write.")],
    force: ForceOption = False,
) -> None:
    """Turn a training run's best weights into a bundle, ready to generate and calibrate."""
    with plain_errors():
        from sedid.data.outputs import BUNDLE, check_folder

        check_folder(bundle, BUNDLE, force)

        from sedid.detector.export import export_run
        from sedid.detector.trained import loss_name

        training = export_run(run, bundle)["training"]
    typer.echo(f"{bundle}: step {training['step']}, {loss_name(training)}: {training['heldout_loss']}")


@app.command()
def upgrade(
    bundle: Annotated[str, typer.Argument(help="A bundle of an earlier version: a folder, or a Hub id.")],
    out: Annotated[str, typer.Option(help="Copy it into this folder first; a Hub id needs one.")] = "",
) -> None:
    """Bring a bundle of an earlier version up to date: record all that its calibration depends on."""
    with plain_errors():
        from sedid.data.outputs import check_folder

        if out:
            check_folder(Path(out))

        from sedid.recipes.upgrade import upgrade as bring_up_to_date

        quiet()
        folder = bring_up_to_date(bundle, out)
    typer.echo(f"done: {folder}")


@app.command()
def card(
    bundle: Annotated[Path, typer.Argument(help="An evaluated bundle.")],
    readme: Annotated[
        Path | None, typer.Option(help="Also write its tables between their markers in this Markdown file.")
    ] = None,
    force: ForceOption = False,
) -> None:
    """Write a bundle's model card from its results and print what was measured."""
    with plain_errors():
        from sedid.data.outputs import CARD, check_file

        check_file(bundle / "README.md", CARD, force=force)
        if readme is not None and not readme.is_file():
            raise FileNotFoundError(f"there is no Markdown file {readme} to write the tables in")

        from sedid.report.card import fill, measured, write_card

        write_card(bundle)
        typer.echo(measured(bundle))
        if readme is not None:
            found = fill(readme, bundle)
            typer.echo(f"{readme}: {', '.join(found) or 'no markers of this bundle'}")


@app.command()
def publish(
    bundle: Annotated[Path, typer.Argument(help="An evaluated bundle with its model card.")],
    repo: Annotated[str, typer.Argument(help="user/repo on the Hugging Face Hub.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be sent.")] = False,
) -> None:
    """Push a bundle to the Hub. The token is that of `hf auth login`, or HF_TOKEN."""
    with plain_errors("the repository may hold a part of the bundle; the same command finishes it"):
        from sedid.detector import hub

        quiet()
        found = hub.publish(bundle, repo, private, dry_run)
    for name, size in found.files.items():
        typer.echo(f"{size:12,}  {name}")
    where = f"done: {found.url}" if found.url else f"nothing was sent; this would go to {repo}"
    typer.echo(f"{sum(found.files.values()):12,}  bytes in {len(found.files)} files\n{where}")


@app.command()
def report(
    results: Annotated[Path, typer.Argument(help="results.json of an evaluation, or the bundle it lies in.")],
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("report.html"),
    force: ForceOption = False,
) -> None:
    """Write an evaluation as one HTML page: tables beside the paper's, curves, mistakes. It loads nothing."""
    with plain_errors():
        from sedid.data.outputs import PAGE, check_file

        check_file(out, PAGE, [results], force)

        from sedid.report.page import write_report

        write_report(results, out)
    typer.echo(f"done: {out}")


@app.command()
def sample(
    real: Annotated[str, typer.Option(help="Data set of test reals used for nothing else.")],
    generated: Annotated[str, typer.Option(help="Generated images used for nothing else.")],
    detector: Annotated[Path, typer.Option(help="The bundle that generated them.")],
) -> None:
    """Write the embedded sample and its examples into assets/."""
    with plain_errors():
        from sedid.detector.sample import write_sample

        write_sample(real, generated, detector)


@app.command("app")
def page() -> None:
    """Start the page."""
    with plain_errors("the page is closed"):
        from sedid.ui import launch

        launch()


@app.command()
def reproduce(
    recipe: Annotated[str, typer.Argument(help="cifar10, tiny-imagenet or celeba.")],
    scale: Annotated[float, typer.Option(help="Share of the paper's training steps and images.")] = 1.0,
    out: Annotated[str, typer.Option(help="Run folder; default: runs/reproduce-RECIPE, with the scale.")] = "",
    data: Annotated[str, typer.Option(help="Training photographs; default: the data set of that name.")] = "",
    heldout: Annotated[str, typer.Option(help="Reals the DDPM never sees; default: the data set's test part.")] = "",
    setting: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would cost.")] = False,
    force: ForceOption = False,
) -> None:
    """The paper's recipe, from training to report. Says what each stage costs, then runs; run again to resume."""
    with plain_errors("the same command goes on from there"):
        from sedid.data.outputs import check_loop
        from sedid.recipes import reproduce as recipes

        quiet()
        settings = recipes.settings_of(recipe, scale, out, data, heldout, setting or [])
        plan = recipes.make_plan(recipe, settings)
        say(recipes.in_words(plan))
        if not dry_run:
            check_loop("loop", plan.config, force)
            recipes.keep(plan)
            run_loop("loop", "", None, settings)


def add_loop(loop: Command) -> None:
    """Register the command of one loop."""
    name = loop.name

    @app.command(name, help=loop.about)
    def command(
        preset: Annotated[str, typer.Option(help="demo, small or paper.")] = "",
        config: Annotated[Path | None, typer.Option(help="TOML file of settings.")] = None,
        setting: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting.")] = None,
        force: ForceOption = False,
        run: Annotated[Path | None, typer.Option(hidden=True, help="Be the job of this run folder.")] = None,
    ) -> None:
        with plain_errors("the same command continues what can be continued"):
            if run is None:
                run_loop(name, preset, config, setting or [], force)
                return
            from sedid.jobs.folder import attached

            with attached(run, recorded=not loop.own_records) as write:
                run_loop(name, preset, config, setting or [], force, write)


def run_loop(
    name: str,
    preset: str,
    file: Path | None,
    settings: list[str],
    force: bool = False,
    write: Callable[[Any], None] | None = None,
) -> None:
    """Resolve the settings, print them and run the loop to its end with a progress line."""
    from dataclasses import asdict

    from sedid.data.outputs import check_loop
    from sedid.jobs.commands import resolve_loop
    from sedid.jobs.console import ProgressLine
    from sedid.progress import finish

    loop, config = resolve_loop(name, preset, file, settings)
    check_loop(name, config, force)
    for key, value in asdict(config).items():
        say(f"{key} = {json.dumps(value)}")
    sys.stdout.flush()
    quiet()

    def report(record: Any) -> None:
        progress.show(record)
        if write is not None:
            write(record)

    with ProgressLine() as progress:
        result = finish(loop(config), report)
    place = result if isinstance(result, Path) else getattr(config, "out", "") or getattr(config, "detector", "")
    if place:
        say(f"done: {place}")


for _command in COMMANDS.values():
    add_loop(_command)


def main(prog_name: str = "sedid") -> None:
    """Run the command line; one process of several ends as `processes.end` says."""
    from sedid import processes

    # no option of ours has one dash: what begins with one is a file, where there is such a file
    given = [f"./{text}" if text[:1] == "-" != text[1:2] and Path(text).exists() else text for text in sys.argv[1:]]
    try:
        app(given, prog_name=prog_name)
    except SystemExit as stop:
        processes.end(stop.code if isinstance(stop.code, int) else int(stop.code is not None))
        raise
