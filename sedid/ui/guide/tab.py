"""The Guide tab: the documents of docs/ and the model cards, read where the app is used.

Which page is open stands in the address (`?tab=guide&doc=limits#base-rates`). A page is fetched when it is opened.
(`page` in an address would be Gradio's own: it looks for a page of that name and fails.)
Gradio renders and sanitises the Markdown; its KaTeX, served by the app itself, draws the mathematics.
"""

from typing import Any

import gradio as gr

from sedid.ui.context import Context
from sedid.ui.guide.pages import Page, contents, in_app, list_pages, page_of
from sedid.ui.results.evaluate_tab import this_tab

TITLE = "Guide"
MISSING = "The documents are not beside this copy of the package. They lie in the folder `docs` of the project."
MATH: list[dict[str, str | bool]] = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "$", "right": "$", "display": False},
]

WISH = "() => [new URL(location).searchParams.get('doc') || '']"

SCRIPT = """
window.sedidGuide?.abort();  // the page was rebuilt: the old listeners go
const control = window.sedidGuide = new AbortController();
const home = element.closest('#guide'), links = [...element.querySelectorAll('a')];
let moved = Boolean(location.hash);  // a link into a page: go there once it is drawn

function open() {
  const name = new URL(location).searchParams.get('doc');
  return links.find(link => link.dataset.page === name) || links[0];
}

function mark() {
  for (const link of links) link.removeAttribute('aria-current');
  const link = open(), list = link?.closest('ul');
  if (!link) return;
  link.setAttribute('aria-current', 'page');
  list.scrollLeft = link.offsetLeft - (list.clientWidth - link.offsetWidth) / 2;
}

function slug(words) {
  return words.trim().toLowerCase().replace(/[^\\p{L}\\p{N}_ -]/gu, '').replaceAll(' ', '-');
}

function arrive() {  // the wanted page may be drawn by now
  const title = home.querySelector('#guide-text h1');
  if (!moved || title?.textContent.trim() !== open()?.dataset.title) return;
  const wanted = decodeURIComponent(location.hash.slice(1));
  const place = wanted && [...home.querySelectorAll('#guide-text :is(h2, h3)')].find(one => slug(one.textContent) === wanted);
  if (wanted && !place && !home.querySelector('#guide-text h2')) return;  // the rest is still to come
  moved = false;
  const target = place || title;
  target.tabIndex = -1;
  target.focus({preventScroll: true});
  if (place) place.scrollIntoView();
  else if (home.getBoundingClientRect().top < 0) home.scrollIntoView();
}

document.addEventListener('click', event => {
  const link = event.target.closest('#guide a');
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const to = new URL(link.href), here = new URL(location);
  if (to.origin + to.pathname !== here.origin + here.pathname || to.searchParams.get('tab') !== 'guide') return;
  event.preventDefault();
  const before = open();
  here.searchParams.set('doc', to.searchParams.get('doc'));
  here.hash = to.hash;
  history.replaceState(history.state, '', here);
  moved = true;
  mark();
  if (open() === before) arrive(); else trigger('select');
}, {signal: control.signal});

const watcher = new MutationObserver(arrive);
watcher.observe(home, {childList: true, subtree: true});
control.signal.addEventListener('abort', () => watcher.disconnect());
mark();
"""


def build(_: Context) -> None:
    """Lay out the tab and wire it. Call inside a `gr.Tab`."""
    pages = list_pages()
    if not pages:
        gr.Markdown(MISSING)
        return
    with gr.Row(elem_id="guide"):
        listed = gr.HTML(
            contents(pages), js_on_load=SCRIPT, apply_default_css=False, elem_id="guide-pages", elem_classes="sed"
        )
        shown = gr.Markdown("", latex_delimiters=MATH, elem_id="guide-text")
    wish = gr.Textbox("", visible="hidden")  # filled by WISH

    def show(name: str) -> str:
        return read(pages, name)

    options: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "always_last"}
    for event in (this_tab().select, listed.select):
        event(show, wish, shown, js=WISH, **options)


def read(pages: tuple[Page, ...], name: str) -> str:
    """The page of this name, or the first one, as it is now.

    Raises:
        gr.Error: its file is gone.
    """
    page = page_of(pages, name)
    try:
        return in_app(page, pages)
    except OSError as error:
        raise gr.Error(f"The page {page.label} cannot be read any more.", print_exception=False) from error
