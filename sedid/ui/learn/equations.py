"""The equations of the lesson, in LaTeX as in the method card, and as MathML, which browsers draw by themselves."""

from dataclasses import dataclass
from functools import cached_property

from latex2mathml.converter import convert
from markupsafe import escape


@dataclass(frozen=True)
class Equation:
    """One equation on a line of its own.

    Attributes:
        latex: in the symbols of docs/method.md.
        spoken: what reads it aloud.
    """

    latex: str
    spoken: str

    @cached_property
    def mathml(self) -> str:
        """An element that needs no script, no font and no request."""
        own = f'<math tabindex="0" aria-label="{escape(self.spoken)}"'  # on a phone it is scrolled, by keyboard as well
        return convert(self.latex, display="block").replace("<math", own, 1)


MIXTURE = Equation(
    r"p_t(x) = \sum_i w_i \mathcal{N}\left(x; \sqrt{\bar\alpha_t} \mu_i, \bar\alpha_t \sigma_i^2 + 1 - \bar\alpha_t\right)",
    "p t of x is the sum of the hills, each with its mean times root alpha bar t, and its variance times alpha bar t plus "
    "one minus alpha bar t",
)
EXACT_NOISE = Equation(
    r"\epsilon^\star(x, t) = -\sqrt{1 - \bar\alpha_t} \frac{\nabla p_t(x)}{p_t(x)}",
    "epsilon star of x and t is minus root one minus alpha bar t times the gradient of p t over p t",
)
ONE_HILL = Equation(
    r"\text{one hill: } E_{s,k}(x_0) = C_{s,k}(\sigma) \left(\frac{x_0 - \mu}{\sigma}\right)^2",
    "on one hill E is a factor C, which depends on s, k and sigma, times the square of x zero minus mu over sigma",
)
NOISED = Equation(
    r"x_t = \sqrt{\bar\alpha_t} x_0 + \sqrt{1 - \bar\alpha_t} \epsilon",
    "x t equals root alpha bar t times x zero, plus root one minus alpha bar t, times epsilon",
)
ALPHA_BAR = Equation(
    r"\bar\alpha_t = \prod_{u \le t} (1 - \beta_u)", "alpha bar t is the product of one minus beta u over u up to t"
)
ESTIMATE = Equation(
    r"f_\theta(x_t, t) = \frac{x_t - \sqrt{1 - \bar\alpha_t} \epsilon_\theta(x_t, t)}{\sqrt{\bar\alpha_t}}",
    "f theta of x t is x t minus root one minus alpha bar t times the predicted noise, over root alpha bar t",
)
REVERSE = Equation(
    r"\phi_\theta(x_t, t) = \sqrt{\bar\alpha_{t+k}} f_\theta(x_t, t) + \sqrt{1 - \bar\alpha_{t+k}} \epsilon_\theta(x_t, t)",
    "phi of x t is root alpha bar t plus k times f theta, plus root one minus alpha bar t plus k times the noise",
)
DENOISE = Equation(
    r"\psi_\theta(x_s, s) = \sqrt{\bar\alpha_{s-k}} f_\theta(x_s, s) + \sqrt{1 - \bar\alpha_{s-k}} \epsilon_\theta(x_s, s)",
    "psi of x s is root alpha bar s minus k times f theta, plus root one minus alpha bar s minus k times the noise",
)
ERROR = Equation(
    r"E_{s,k}(x_0) = \lVert \psi_\theta(\tilde x_s, s) - \tilde x_{s-k} \rVert^2",
    "E is the squared distance between psi of x s and x at s minus k",
)
IDENTITY = Equation(
    r"E_{s,k} = c^2 \lVert \epsilon_\theta(\tilde x_s, s) - \epsilon_\theta(\tilde x_t, t) \rVert^2, \quad t = s - k",
    "E equals c squared times the squared change of the predicted noise, where t is s minus k",
)
WEIGHT = Equation(
    r"c = \sqrt{1 - \bar\alpha_t} - \sqrt{\bar\alpha_t / \bar\alpha_s} \sqrt{1 - \bar\alpha_s}",
    "c is root one minus alpha bar t, minus root of alpha bar t over alpha bar s, times root one minus alpha bar s",
)
FREE = Equation(
    r"\frac{E_{s,k}}{c^2} = \lVert \epsilon_\theta(\tilde x_s, s) - \epsilon_\theta(\tilde x_t, t) \rVert^2",
    "the weight-free error is E over c squared",
)


@dataclass(frozen=True)
class Family:
    """The equations that differ between the families of models (`sedid.method.wording`)."""

    noised: Equation
    schedule: Equation
    estimate: Equation
    reverse: Equation
    denoise: Equation
    identity: Equation
    weight: Equation
    free: Equation


OF_NOISE = Family(NOISED, ALPHA_BAR, ESTIMATE, REVERSE, DENOISE, IDENTITY, WEIGHT, FREE)
OF_FLOW = Family(
    noised=Equation(
        r"x_t = (1 - \sigma_t) x_0 + \sigma_t \epsilon",
        "x t equals one minus sigma t times x zero, plus sigma t times epsilon",
    ),
    schedule=Equation(
        r"\sigma_t = \frac{r u}{1 + (r - 1) u}, \quad u = \frac{t + 1}{T}",
        "sigma t is r times u over one plus r minus one times u, with the shift r, where u is t plus one over the number of timesteps",
    ),
    estimate=Equation(
        r"f_\theta(x_t, t) = x_t - \sigma_t v_\theta(x_t, t)",
        "f theta of x t is x t minus sigma t times the predicted velocity",
    ),
    reverse=Equation(
        r"\phi_\theta(x_t, t) = x_t + (\sigma_{t+k} - \sigma_t) v_\theta(x_t, t)",
        "phi of x t is x t plus sigma t plus k minus sigma t, times the predicted velocity",
    ),
    denoise=Equation(
        r"\psi_\theta(x_s, s) = x_s + (\sigma_{s-k} - \sigma_s) v_\theta(x_s, s)",
        "psi of x s is x s plus sigma s minus k minus sigma s, times the predicted velocity",
    ),
    identity=Equation(
        r"E_{s,k} = c^2 \lVert v_\theta(\tilde x_s, s) - v_\theta(\tilde x_t, t) \rVert^2, \quad t = s - k",
        "E equals c squared times the squared change of the predicted velocity, where t is s minus k",
    ),
    weight=Equation(r"c = \sigma_s - \sigma_t", "c is sigma s minus sigma t"),
    free=Equation(
        r"\frac{E_{s,k}}{c^2} = \lVert v_\theta(\tilde x_s, s) - v_\theta(\tilde x_t, t) \rVert^2",
        "the weight-free error is E over c squared",
    ),
)
STAT = Equation(r"\text{STAT: } E \lessgtr h", "STAT compares E with a threshold h")
NN = Equation(
    r"\text{NN: } p = \sigma(\mathrm{ResNet}(\tilde x_{s-k}, \psi_\theta(\tilde x_s, s)) / \tau)",
    "NN is a probability from both images",
)
IN_RANGE = Equation(
    r"\min_{\text{ref}} E \le E \le \max_{\text{ref}} E",
    "in range means E lies between the smallest and the largest reference at every T SEC on the way",
)
