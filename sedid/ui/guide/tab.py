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

CSS = """
#guide { display: grid; grid-template-columns: 15rem minmax(0, 1fr); gap: 20px 36px; align-items: start; min-height: 640px; scroll-margin-top: 8px; }
#guide > * { min-width: 0 !important; }
#guide-pages { position: sticky; top: 10px; overflow: visible; }
.guide-nav ul { list-style: none; margin: 0; padding: 3px; }
.guide-nav li { margin: 0; }
.guide-nav a { display: block; padding: 7px 12px; border-left: 3px solid var(--sed-rule); color: var(--body-text-color); text-decoration: none; font-size: .9rem; }
.guide-nav a:hover { background: var(--sed-soft); }
.guide-nav a[aria-current] { border-left-color: var(--color-accent); background: var(--sed-soft); font-weight: 620; }
#guide-text { max-width: 50rem; font-size: 1rem; line-height: 1.6; }
#guide-text .prose { font-size: 1rem; }
#guide-text h1 { font-size: 1.6rem; font-weight: 650; letter-spacing: -.01em; margin: 0 0 .8rem; }
#guide-text h2 { font-size: 1.2rem; font-weight: 650; margin: 1.8rem 0 .5rem; } #guide-text h3 { font-size: 1.02rem; font-weight: 620; margin: 1.3rem 0 .4rem; }
#guide-text :is(h1, h2, h3):focus { outline: none; }
#guide-text :is(h2, h3) { scroll-margin-top: 12px; }
#guide-text p, #guide-text li { line-height: 1.6; } #guide-text li { margin: .25rem 0; }
#guide-text a { color: var(--link-text-color); text-decoration: underline; text-underline-offset: 2px; }
#guide-text table { display: block; overflow-x: auto; font-size: .86rem; max-width: 100%; margin: .8rem 0 !important; }
#guide-text :is(table, thead, tbody, tr) { border: 0; }
#guide-text ul { list-style: disc; }
#guide-text :is(th, td) { padding: 6px 10px; vertical-align: top; text-align: left; border: 0; border-bottom: 1px solid var(--sed-rule); }
#guide-text :not(pre) > code { font-size: .88em; overflow-wrap: anywhere; }
/* wrapped, since what scrolls sideways could not be reached by keyboard */
#guide-text pre, #guide-text pre code { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .84rem; }
#guide-text .token { color: inherit; } /* Gradio's colours for code are too pale to read */
#guide-text .token:is(.keyword, .builtin) { color: var(--color-accent); } #guide-text .token:is(.string, .triple-quoted-string) { color: var(--sed-real); }
#guide-text .token.comment { color: var(--body-text-color-subdued); }
#guide-text .katex-display { overflow-x: auto; overflow-y: hidden; padding: 4px 0; }
@media (max-width: 900px) {
  #guide { grid-template-columns: minmax(0, 1fr); }
  #guide-pages { position: static; }
  .guide-nav ul { display: flex; gap: 6px; overflow-x: auto; position: relative; scrollbar-width: thin; }
  .guide-nav li { flex: none; }
  .guide-nav a { border: 1px solid var(--sed-rule); border-radius: 8px; white-space: nowrap; min-height: 40px; line-height: 24px; }
  .guide-nav a[aria-current] { border-color: var(--color-accent); box-shadow: inset 0 -3px 0 var(--color-accent); }
}
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
