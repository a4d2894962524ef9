"""Which type each results file in a bundle has."""

from pathlib import Path

from sedid.results import Results
from sedid.studies.choose import ChoiceResults
from sedid.studies.comparison import ComparisonResults
from sedid.studies.defence import DefenceResults
from sedid.studies.evaluate import EvaluationResults
from sedid.studies.generalise import GeneraliseResults
from sedid.studies.polarity import PolarityResults
from sedid.studies.robustness import RobustnessResults
from sedid.studies.shipped import QualityResults, TrainingResults
from sedid.studies.sweep import SweepResults

KINDS: dict[str, type[Results]] = {
    "results": EvaluationResults,
    "sweep": SweepResults,
    "compare": ComparisonResults,
    "choice": ChoiceResults,
    "robustness": RobustnessResults,
    "polarity": PolarityResults,
    "generalise": GeneraliseResults,
    "training": TrainingResults,
    "quality": QualityResults,
    "defence": DefenceResults,
}
"""Name of the file without its ending -> its type."""


def rewrite(folder: Path) -> list[Path]:
    """Write the results files of a bundle that an earlier version wrote as this one writes them, with the same figures.

    Returns:
        The files that were written.

    Raises:
        OSError, ValueError: a file cannot be read or written, or is not what its command writes.
    """
    written = []
    for name, kind in KINDS.items():
        file = Path(folder) / "sedid" / f"{name}.json"
        if file.is_file() and file.read_text(encoding="utf-8") != (found := kind.read(file)).text():
            found.write(file)
            written.append(file)
    return written
