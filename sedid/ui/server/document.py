"""What the page's document says of itself before any of it runs: the icon, and the card that chats and posts show of a link.

Gradio's document brings cards of its own, which advertise Gradio, and adds what it takes as `head` too late for both.
"""

import re
from html import escape

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import Message, Scope, Send

from sedid.paths import ASSETS
from sedid.ui.server import parts

NAME = "SeDID Explorer"
TITLE = "Can a diffusion model recognise its own pictures?"
DESCRIPTION = "Pick a photograph or a generated picture. The model adds noise, takes one step back, and you see how far it misses."
CARD = ASSETS / "card.png"
CARD_SIZE = (1200, 630)  # pixels, what chats and posts show whole
CARD_PATH = "/card.png"

ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' "
    "rx='3' fill='%23312e81'/%3E%3Cpath d='M2 12C6 12 6 4 14 4' stroke='%23fff' stroke-width='1.6' fill='none'/%3E"
    "%3Cpath d='M2 12C9 12 9 8 14 8' stroke='%23fbbf24' stroke-width='1.6' fill='none'/%3E%3C/svg%3E"
)
"""In the page itself: a browser would ask the root of the server for one, which is not ours behind a proxy."""

FOREIGN = re.compile(r'<meta\s+(?:property="og:|name="twitter:)[^>]*>', re.DOTALL)


BASE = re.compile(r"<base\b[^>]*>")
BODY = re.compile(r"<body\b[^>]*>")
FIRST_WORDS = f"""<style>
#sed-first {{ position: absolute; inset: 0 0 auto; padding: 1rem 1.5rem; font-family: system-ui, sans-serif }}
#sed-first b {{ font-size: 1.75rem }}
body:has(#sed-title) #sed-first {{ display: none }}
body.dark {{ background: var(--body-background-fill) }} /* Gradio's own follows the system, not the theme asked for */
</style>
<div id="sed-first"><p>{NAME}</p><p><b>{TITLE}</b></p><p>{DESCRIPTION}</p>
<noscript><p>This page needs JavaScript, which your browser does not run.</p></noscript></div>"""
"""What stands there until Gradio's scripts have drawn the page."""


def own_head(document: str, address: str, needed: parts.Parts) -> str:
    """The document with the project's icon and card in place of Gradio's, and its first words.

    Args:
        address: of the page as the visitor's browser knows it, without a query; a card's picture needs a whole one.
        needed: the files that the page is made of. They are named early, so that the browser asks while it reads on.
    """
    said = {
        "og:type": "website",
        "og:site_name": NAME,
        "og:title": TITLE,
        "og:description": DESCRIPTION,
        "og:url": address,
        "og:image": address.rstrip("/") + CARD_PATH,
        "og:image:width": str(CARD_SIZE[0]),
        "og:image:height": str(CARD_SIZE[1]),
        "og:image:alt": f"{NAME}: {TITLE}",
    }
    if not CARD.is_file():  # installed without the checkout's assets
        said = {name: value for name, value in said.items() if not name.startswith("og:image")}
    tags = [f'<meta property="{name}" content="{escape(value)}">' for name, value in said.items()]
    tags += [
        '<meta name="twitter:card" content="summary_large_image">',  # the rest it takes from those above
        f'<meta name="description" content="{escape(DESCRIPTION)}">',
        f'<link rel="icon" href="{ICON}">',
    ]
    document = FOREIGN.sub("", document).replace("<head>", f"<head>{''.join(tags)}", 1)
    document = BASE.sub(lambda base: base[0] + needed.early, document, count=1)  # names in them are relative to it
    document = document.replace("</head>", f"{needed.late}</head>", 1)
    return BODY.sub(lambda body: body[0] + FIRST_WORDS, document, count=1)


def with_own_head(scope: Scope, send: Send) -> Send:
    """A `send` that changes the document on its way out.

    Args:
        scope: of a request for the page.
    """
    from gradio.route_utils import get_root_url  # as Gradio itself finds it, behind proxies, too

    address = get_root_url(Request(scope), "/", scope.get("root_path")) + "/"
    needed = parts.of_app(scope["app"])
    small = parts.BROTLI in Headers(scope=scope).get("accept-encoding", "")
    start: list[Message] = []
    body = bytearray()

    async def changed(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.append(message)  # held until the length is known
            return
        body.extend(message.get("body", b""))
        if message.get("more_body", False):
            return
        made = own_head(body.decode("utf-8"), address, needed).encode("utf-8")
        headers = MutableHeaders(raw=list(start[0]["headers"]))
        if small:
            made = parts.packed_lately(made, quality=9)
            headers["content-encoding"] = parts.BROTLI
            headers.add_vary_header("accept-encoding")
        headers["content-length"] = str(len(made))
        await send({**start[0], "headers": headers.raw})
        await send({"type": "http.response.body", "body": made})

    return changed
