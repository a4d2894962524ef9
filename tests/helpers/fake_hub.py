"""A Hub on this disk: what `huggingface_hub` would do with its four calls, patterns honoured, no network."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import errors
from huggingface_hub.utils import filter_repo_objects


def answer(status: int, kind: type[errors.HfHubHTTPError] = errors.HfHubHTTPError) -> errors.HfHubHTTPError:
    """The client's error for an answer of this status."""
    from importlib import import_module

    http = import_module(errors.Response.__module__.partition(".")[0])
    response = http.Response(status, request=http.Request("GET", "https://hub.test/"))
    return kind(f"{status} from the Hub\nand more\nlines", response=response)


class FakeHub:
    """Repositories are folders `repos/user/repo@revision`; what is fetched lands in `cache`, as links to blobs do."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.repos, self.cache = root / "repos", root / "cache"
        self.private: dict[str, bool] = {}
        self.fetched: list[str] = []
        self.error: Exception | None = None
        monkeypatch.setattr("huggingface_hub.HfApi.create_repo", self.create_repo)
        monkeypatch.setattr("huggingface_hub.HfApi.upload_folder", self.upload_folder)
        monkeypatch.setattr("huggingface_hub.snapshot_download", self.snapshot_download)
        monkeypatch.setattr("huggingface_hub.list_repo_files", self.list_repo_files)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(self.cache))

    def folder(self, repo: str, revision: str | None = None) -> Path:
        """The files of a repository."""
        return self.repos / f"{repo}@{revision or 'main'}"

    def names(self, repo: str) -> set[str]:
        """What lies in a repository."""
        return names_in(self.folder(repo))

    def create_repo(self, repo_id: str, *, private: bool | None = None, exist_ok: bool = False) -> str:
        if self.error is not None:
            raise self.error
        if repo_id in self.private and not exist_ok:
            raise answer(409)
        self.private.setdefault(repo_id, bool(private))
        self.folder(repo_id).mkdir(parents=True, exist_ok=True)
        return f"https://hub.test/{repo_id}"

    def upload_folder(
        self, *, repo_id: str, folder_path: Path, allow_patterns: Any, delete_patterns: Any, commit_message: str
    ) -> None:
        there = self.folder(repo_id)
        if not there.is_dir():
            raise answer(404, errors.RepositoryNotFoundError)
        for name in filter_repo_objects(names_in(there), allow_patterns=delete_patterns):
            (there / name).unlink()
        copy(Path(folder_path), there, allow_patterns)

    def list_repo_files(self, repo_id: str, *, revision: str | None = None) -> list[str]:
        if self.error is not None:
            raise self.error
        return sorted(names_in(self.folder(repo_id, revision)))

    def snapshot_download(self, repo_id: str, *, revision: str | None = None, allow_patterns: Any = None) -> str:
        if self.error is not None:
            raise self.error
        there = self.folder(repo_id, revision)
        if not there.is_dir():
            missing = self.folder(repo_id).is_dir()
            raise answer(404, errors.RevisionNotFoundError if missing else errors.RepositoryNotFoundError)
        here = self.cache / f"models--{repo_id.replace('/', '--')}" / "snapshots" / (revision or "main")
        self.fetched += copy(there, here, allow_patterns)
        return str(here)


def names_in(folder: Path) -> set[str]:
    """Relative paths of all files below a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def copy(source: Path, target: Path, patterns: Any) -> list[str]:
    """Copy the files whose names match."""
    chosen = list(filter_repo_objects(sorted(names_in(source)), allow_patterns=patterns))
    for name in chosen:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
    return chosen
