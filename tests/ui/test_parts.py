"""Gradio's files are named in the document at once: those that the page asks for, and no other."""

from pathlib import Path

from sedid.ui.server.parts import Parts, parts

CORE = (
    'const d=(m.f=["./Index-b.js","./Index-b.css","./shared-c.js","./Index-x.js"]);'
    "V={button:{component:()=>v(()=>import(`./Index-b.js`).then(e=>e.t),__vite__mapDeps([0,1,2]),import.meta.url)},"
    "plot:{base:()=>v(()=>import(`./Base-p.js`),__vite__mapDeps([3]),import.meta.url),"
    "component:()=>v(()=>import(`./Index-x.js`),__vite__mapDeps([3]),import.meta.url)}}"
)
FILES = {
    "index-a.js": 'm.f=["./Index-a.js","./core-a.js","./Index-a.css"];v(()=>import(`./Index-a.js`),__vite__mapDeps([0,1,2]),u)',
    "Index-a.js": 'm.f=["./Blocks-a.js","./core-a.js","./index-a.js"];v(()=>import(`./Blocks-a.js`),__vite__mapDeps([0,1,2]),u)',
    "core-a.js": CORE,
    "Blocks-a.js": "",
    "Index-b.js": "",
    "shared-c.js": "",
    "Index-x.js": "",
    "Index-a.css": "p { color: red }",
    "Index-b.css": "b { color: blue }",
}


def built(folder: Path, entry: str = '<script src="./assets/index-a.js">', **changed: str) -> Path:
    """A front end as Gradio's build writes it."""
    (folder / "assets").mkdir()
    (folder / "index.html").write_text(entry)
    for name, text in (FILES | changed).items():
        (folder / "assets" / name).write_text(text)
    return folder


def test_what_a_page_asks_for_step_by_step_is_known_beforehand(tmp_path: Path) -> None:
    found = parts(frozenset({"button", "row"}), built(tmp_path))
    assert found.scripts == ("index-a.js", "Index-a.js", "core-a.js", "Blocks-a.js", "Index-b.js", "shared-c.js")
    assert found.styles == ("Index-a.css", "Index-b.css")
    assert found.sheet == "p { color: red }\nb { color: blue }"
    assert found.late.count("disabled") == 2
    assert all(f'href=".{found.path}"' in tags for tags in (found.early, found.late))
    assert "Index-x.js" in parts(frozenset({"plot"}), tmp_path).scripts


def test_another_build_is_left_to_itself(tmp_path: Path) -> None:
    for number, entry in enumerate(("", '<script src="./assets/index-a.js">')):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = parts(frozenset({"button"}), built(folder, entry, **{"Index-a.js": "import('./Blocks-a.js')"}))
        assert found == Parts()
        assert found.early == found.late == ""
