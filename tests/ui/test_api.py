"""The endpoints for programs: through the Python client, and as tools of a language model through an MCP client."""

import ast
import asyncio
import base64
import contextlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from helpers.browsing import served
from helpers.bundles import shared_bundle
from helpers.fakes import make_detector, make_image
from PIL import Image

from sedid.ui.context import Context
from sedid.ui.menu import Menu

NAMES = ["inspect", "score_batch", "sweep", "whose", "detectors"]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("api")
    shutil.copytree(shared_bundle(), folder / "checkpoints" / "tiny")
    shutil.copytree(shared_bundle(), folder / "checkpoints" / "broken")
    (folder / "checkpoints" / "broken" / "sedid" / "detector.json").write_text("[]")
    detector = make_detector()
    menu = Menu("fake", folder / "checkpoints", folder / "runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "uploads"))
        patch.setenv("SEDID_RUNS", str(folder / "runs"))
        with served(Context(lambda: detector, (), menu)) as address:
            yield address


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[Any]:
    from gradio_client import Client

    with contextlib.closing(Client(url, verbose=False)) as made:
        yield made


def file(path: Path) -> Any:
    from gradio_client import handle_file

    return handle_file(path)


def test_five_documented_endpoints_and_no_other(client: Any) -> None:
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert list(endpoints) == [f"/{name}" for name in NAMES]
    for said in endpoints.values():
        assert len(said["description"]) > 40
        assert "Args" not in said["description"]
    parameters = [one["parameter_name"] for one in endpoints["/inspect"]["parameters"]]
    assert parameters == ["image", "k", "t_sec", "detector"]


def test_inspect_opens_another_detector_of_the_menu(client: Any, photo: Path) -> None:
    own = client.predict(file(photo), api_name="/inspect")
    other = client.predict(file(photo), detector="checkpoints/tiny", api_name="/inspect")
    assert (own["detector"], own["k"], own["t_sec"]) == ("fake", 165, 330)
    assert (other["detector"], other["k"], other["t_sec"]) == ("tiny", 165, 495)
    assert set(other["stat"]) == set(own["stat"])


def test_every_detector_of_the_menu_is_asked_whose_a_picture_is(client: Any, photo: Path) -> None:
    found = client.predict(file(photo), api_name="/whose")
    by_name = {row["detector"]: row for row in found["rows"]}
    assert list(by_name) == ["fake", "broken", "tiny"]
    alone = client.predict(file(photo), api_name="/inspect")
    assert by_name["fake"]["stat"] == alone["stat"]
    assert by_name["tiny"]["stat"]["percentile_real"] is not None
    assert "must hold an object" in by_name["broken"]["error"]
    assert "of 2 detectors" in found["summary"]


def test_a_sweep_holds_what_inspect_says_at_every_t_sec(client: Any, photo: Path) -> None:
    found = client.predict(file(photo), 330, api_name="/sweep")
    assert [row["t_sec"] for row in found["rows"]] == [330, 660, 990]
    for row in found["rows"]:
        alone = client.predict(file(photo), 330, row["t_sec"], api_name="/inspect")
        assert row == {name: alone[name] for name in row}
    calibrated = client.predict(file(photo), api_name="/sweep")["rows"]
    assert [row["t_sec"] for row in calibrated if row["stat"]] == [330, 495]


def test_a_batch_says_the_same_as_inspect_and_goes_on_after_a_bad_file(
    client: Any, photo: Path, tmp_path: Path
) -> None:
    bad, archive, buffer = tmp_path / "bad.png", tmp_path / "more.zip", io.BytesIO()
    bad.write_bytes(b"no image")
    Image.fromarray(make_image(7, 50)).save(buffer, "PNG")
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("inside/seven.png", buffer.getvalue())
    found = client.predict([file(photo), file(bad), file(archive)], api_name="/score_batch")
    first, second, third = found["rows"]
    alone = client.predict(file(photo), api_name="/inspect")
    assert (found["k"], found["t_sec"]) == (alone["k"], alone["t_sec"])
    assert first["file"] == "photo.png"
    assert first["t_error"] == pytest.approx(alone["t_error"], rel=1e-5)
    assert first["stat"]["verdict"] == alone["stat"]["verdict"]
    assert first["nn"]["score"] == pytest.approx(alone["nn"]["score"], rel=1e-5)
    assert "not an image" in second["error"]
    assert third["file"].startswith("more.zip")
    assert third["t_error"] > 0
    assert str(tmp_path.parent) not in json.dumps(found)


def test_detectors_are_listed_with_what_they_know(client: Any) -> None:
    listed = {one["name"]: one for one in client.predict(api_name="/detectors")}
    assert listed["default"] | {"label": ""} == {
        "name": "default",
        "label": "",
        "size": 32,
        "chosen": [165, 330],
        "pairs": [[165, 330], [165, 495]],
        "verdicts": ["STAT", "NN"],
    }
    tiny = listed["checkpoints/tiny"]
    assert (tiny["size"], tiny["chosen"], tiny["verdicts"]) == (32, [165, 495], ["STAT", "NN"])
    assert len(tiny["pairs"]) == 6
    assert "cannot be opened" in listed["checkpoints/broken"]["error"]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda client, one: client.predict(one, 3, api_name="/sweep"), "between 5 and 495"),
        (lambda client, one: client.predict(one, 7.5, api_name="/inspect"), "k must be a whole number"),
        (lambda client, one: client.predict(one, "many", api_name="/inspect"), "k must be a whole number"),
        (lambda client, one: client.predict(one, True, api_name="/inspect"), "k must be a whole number"),
        (lambda client, one: client.predict(one, 1e400, api_name="/inspect"), r"whole number|JSON|out of range"),
        (lambda client, one: client.predict(one, 165, 500, api_name="/inspect"), "multiple of k"),
        (lambda client, one: client.predict(one, "0,990,165", api_name="/inspect"), "ascending timesteps"),
        (lambda client, one: client.predict([], api_name="/score_batch"), "No files"),
        (lambda client, one: client.predict("some", api_name="/score_batch"), "No files"),
        (lambda client, one: client.predict([one, "some"], api_name="/score_batch"), "no file that was uploaded"),
        (lambda client, one: client.predict("some", api_name="/inspect"), "no file that was uploaded"),
        (lambda client, one: client.predict("/etc/hostname", api_name="/sweep"), "no file that was uploaded"),
        (lambda client, one: client.predict({"path": "/etc/hostname"}, api_name="/sweep"), "no file that was uploaded"),
        (lambda client, one: client.predict([7], api_name="/inspect"), r"not as '\[7\]'"),
        (lambda client, one: client.predict(7, api_name="/sweep"), "not as '7'"),
        # plain text: what shows it escapes it
        (lambda client, one: client.predict(one, "<b>&", api_name="/inspect"), "k must be a whole number, not '<b>&'"),
        (
            lambda client, one: client.predict(one, detector="nowhere/<b>", api_name="/sweep"),
            "no detector at nowhere/<b>",
        ),
    ],
)
def test_a_client_reads_what_was_wrong(client: Any, photo: Path, ask: Callable[..., Any], said: str) -> None:
    with pytest.raises(Exception, match=said) as caught:
        ask(client, file(photo))
    assert "Traceback" not in str(caught.value)


# --- as tools --------------------------------------------------------------------------------------------------


def talk(url: str, say: Callable[[Any], Any]) -> Any:
    """One conversation with the app's MCP server."""
    streams = pytest.importorskip("mcp.client.streamable_http")
    from mcp import ClientSession

    async def conversation() -> Any:
        async with (
            streams.streamable_http_client(f"{url}gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await say(session)

    return asyncio.run(conversation())


def data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def test_the_tools_are_the_endpoints_and_say_what_they_do(url: str) -> None:
    tools = {tool.name: tool for tool in talk(url, lambda session: session.list_tools()).tools}
    assert list(tools) == NAMES
    assert tools["inspect"].description.startswith("Judge one image")
    fields = tools["inspect"].inputSchema["properties"]
    assert set(fields) == {"image", "k", "t_sec", "detector"}
    assert all(field["description"] for field in fields.values())
    assert tools["inspect"].inputSchema["required"] == ["image"]
    assert "$ref" not in json.dumps([tool.inputSchema for tool in tools.values()])  # which lead nowhere


def test_a_tool_takes_the_address_of_a_file_that_was_uploaded(url: str, client: Any, photo: Path) -> None:
    sent = {"files": ("a b.png", photo.read_bytes(), "image/png")}
    [place] = httpx.post(f"{url}gradio_api/upload", files=sent, timeout=20).raise_for_status().json()

    async def ask(session: Any) -> list[Any]:
        addresses = (f"{url}gradio_api/file={quote(place)}", f"{url}gradio_api/file=/etc/hostname", f"{url}a.png")
        return [await session.call_tool("inspect", {"image": address}) for address in addresses]

    good, *others = talk(url, ask)
    assert not good.isError
    assert ast.literal_eval(good.content[0].text) == client.predict(file(photo), api_name="/inspect")
    for other in others:
        assert other.isError
        assert "not fetched here" in other.content[0].text


def test_a_tool_judges_an_image_and_refuses_in_words(url: str, client: Any, photo: Path) -> None:
    async def ask(session: Any) -> list[Any]:
        image = data_uri(photo)
        return [
            await session.call_tool("inspect", {"image": image}),
            await session.call_tool("inspect", {"image": image, "k": 165, "t_sec": 500}),
            await session.call_tool("inspect", {"image": "http://192.0.2.1/a.png"}),
            await session.call_tool("detectors", {}),
            await session.call_tool("inspect", {"image": image, "k": "0,330,495,825"}),
            await session.call_tool("inspect", {"image": image, "k": "165"}),
            await session.call_tool("score_batch", {"files": [image, data_uri(photo.with_suffix(".txt"))]}),
        ]

    photo.with_suffix(".txt").write_text("no image")
    good, impossible, address, listed, walked, by_text, batch = talk(url, ask)
    assert ast.literal_eval(by_text.content[0].text) == client.predict(file(photo), 165, api_name="/inspect")
    assert ast.literal_eval(walked.content[0].text) == client.predict(file(photo), "0,330,495,825", api_name="/inspect")
    judged, unread = ast.literal_eval(batch.content[0].text)["rows"]
    assert judged["t_error"] == client.predict([file(photo)], api_name="/score_batch")["rows"][0]["t_error"]
    assert "not an image" in unread["error"]
    assert ast.literal_eval(good.content[0].text) == client.predict(file(photo), api_name="/inspect")
    assert impossible.isError
    assert "multiple of k" in impossible.content[0].text
    assert address.isError
    assert "not fetched here" in address.content[0].text
    assert ast.literal_eval(listed.content[0].text) == client.predict(api_name="/detectors")
