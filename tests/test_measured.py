"""What long commands measured is committed as they wrote it, reaches its goals, and stands in the documents."""

import json
from typing import Any

from helpers.covered import GOAL, summary
from helpers.measured import BLOCKS, FOLDER, PAGES, filled


def found(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def test_documents_say_what_the_files_say() -> None:
    pages = [page.read_text(encoding="utf-8") for page in PAGES]
    assert [filled(page) for page in pages] == pages
    for name in BLOCKS:
        assert sum(page.count(f"<!-- {name} -->") for page in pages) == 1, name


def test_the_goals_are_reached() -> None:
    assert found("coverage")["share"] >= GOAL
    assert found("mutants")["killed_share"] >= 0.85
    assert found("mutants")["sample"] >= 100


def test_lines_are_counted_by_folder() -> None:
    def one(run: int, all: int) -> dict[str, Any]:
        return {"summary": {"covered_lines": run, "num_statements": all}}

    files = {"sedid/cli.py": one(5, 10), "sedid/method/a.py": one(9, 10), "sedid/ui/kit/b.py": one(10, 10)}
    made = summary({"meta": {"version": "7"}, "files": files})
    assert made["folders"] == {"flat": 0.5, "method": 0.9, "ui": 1.0}
    assert (made["lines"], made["share"]) == (30, 0.8)
    assert list(made["most_missed"].items())[:2] == [("sedid/cli.py", 5), ("sedid/method/a.py", 1)]
