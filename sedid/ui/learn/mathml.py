"""The equations of the lesson as MathML, which browsers draw by themselves: no script, no font, no request."""

from sedid.report.pictures import text


def i(name: str) -> str:
    """A symbol."""
    return f"<mi>{name}</mi>"


def o(sign: str) -> str:
    """An operator or bracket."""
    return f"<mo>{sign}</mo>"


def row(*parts: str) -> str:
    """Parts side by side."""
    return f"<mrow>{''.join(parts)}</mrow>"


def sub(base: str, *index: str) -> str:
    """An index."""
    return f"<msub>{base}{row(*index)}</msub>"


def root(*parts: str) -> str:
    """A square root."""
    return f"<msqrt>{''.join(parts)}</msqrt>"


def over(above: str, below: str) -> str:
    """A fraction."""
    return f"<mfrac>{above}{below}</mfrac>"


def squared(base: str) -> str:
    """A square."""
    return f"<msup>{base}<mn>2</mn></msup>"


def norm(*parts: str) -> str:
    """The squared Euclidean norm."""
    return squared(row(o("‖"), *parts, o("‖")))


def of(function: str, *arguments: str) -> str:
    """A function of arguments."""
    listed = o(",").join(arguments)
    return row(function, o("("), listed, o(")"))


def abar(*index: str) -> str:
    """alpha_bar at an index."""
    return sub("<mover accent='true'><mi>&alpha;</mi><mo>¯</mo></mover>", *index)


def walked(*index: str) -> str:
    """A point of the deterministic trajectory."""
    return sub("<mover accent='true'><mi>x</mi><mo>~</mo></mover>", *index)


def math(label: str, *parts: str) -> str:
    """One equation on a line of its own; `label` reads it aloud."""
    return f'<math display="block" aria-label="{text(label)}">{row(*parts)}</math>'


ONE, EQUALS, MINUS, PLUS = "<mn>1</mn>", o("="), o("&minus;"), o("+")
T, S, K = i("t"), i("s"), i("k")
EPS, F = sub(i("ε"), i("θ")), sub(i("f"), i("θ"))
NEAR = (S, MINUS, K)


def _noise_part(*index: str) -> str:
    return root(ONE, MINUS, abar(*index))


NOISED = math(
    "x t equals root alpha bar t times x zero, plus root one minus alpha bar t, times epsilon",
    *(sub(i("x"), T), EQUALS, root(abar(T)), sub(i("x"), "<mn>0</mn>"), PLUS, _noise_part(T), i("ε")),
)
ALPHA_BAR = math(
    "alpha bar t is the product of one minus beta s over s up to t",
    *(abar(T), EQUALS, f"<munder><mo>∏</mo>{row(i('u'), o('≤'), T)}</munder>"),
    *(o("("), ONE, MINUS, sub(i("β"), i("u")), o(")")),
)
ESTIMATE = math(
    "f theta of x t is x t minus root one minus alpha bar t times the predicted noise, over root alpha bar t",
    of(F, sub(i("x"), T), T),
    EQUALS,
    over(row(sub(i("x"), T), MINUS, _noise_part(T), of(EPS, sub(i("x"), T), T)), root(abar(T))),
)
REVERSE = math(
    "phi: x at t plus k is root alpha bar t plus k times f theta, plus root one minus alpha bar t plus k times the noise",
    walked(T, PLUS, K),
    EQUALS,
    row(root(abar(T, PLUS, K)), of(F, walked(T), T), PLUS, _noise_part(T, PLUS, K), of(EPS, walked(T), T)),
)
DENOISE = math(
    "psi of x s is root alpha bar s minus k times f theta, plus root one minus alpha bar s minus k times the noise",
    of(i("ψ"), walked(S)),
    EQUALS,
    row(root(abar(*NEAR)), of(F, walked(S), S), PLUS, _noise_part(*NEAR), of(EPS, walked(S), S)),
)
ERROR = math(
    "E is the squared distance between psi of x s and x at s minus k",
    *(sub(i("E"), S, o(","), K), EQUALS, norm(of(i("ψ"), walked(S)), MINUS, walked(*NEAR))),
)
IDENTITY = math(
    "E equals c squared times the squared change of the predicted noise",
    *(sub(i("E"), S, o(","), K), EQUALS, squared(i("c"))),
    norm(of(EPS, walked(S), S), MINUS, of(EPS, walked(T), T)),
    "<mtext>,&nbsp;&nbsp;</mtext>",
    *(T, EQUALS, *NEAR),
)
WEIGHT = math(
    "c is root one minus alpha bar t, minus root alpha bar t over root alpha bar s, times root one minus alpha bar s",
    *(i("c"), EQUALS, _noise_part(T), MINUS, over(root(abar(T)), root(abar(S))), _noise_part(S)),
)
FREE = math(
    "the weight-free error is E over c squared",
    *(over(sub(i("E"), S, o(","), K), squared(i("c"))), EQUALS),
    norm(of(EPS, walked(S), S), MINUS, of(EPS, walked(T), T)),
)
STAT = math("STAT compares E with a threshold h", "<mtext>STAT:&nbsp;</mtext>", i("E"), o("≶"), i("h"))
NN = math(
    "NN is a probability from both images",
    "<mtext>NN:&nbsp;</mtext>",
    *(i("p"), EQUALS, of(i("&sigma;"), row(of(i("ResNet"), walked(*NEAR), of(i("ψ"), walked(S))), o("/"), i("τ")))),
)
IN_RANGE = math(
    "in range means E lies between the smallest and the largest reference at every T SEC on the way",
    *(sub(i("min"), i("ref")), i("E"), o("≤"), i("E"), o("≤"), sub(i("max"), i("ref")), i("E")),
)
