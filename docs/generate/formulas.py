"""What each rule computes, typeset.  The docstring below it on the page has the same in letters, and the conditions."""

from __future__ import annotations

FORMULAS: dict[str, tuple[str, ...]] = {
    "sds": (r"g = w(t)\,(\hat\varepsilon(x_t) - \varepsilon), \qquad x_t = \alpha_t x + \sigma_t \varepsilon",),
    "jsd": (
        r"g = w(t)\,[\hat\varepsilon(\hat x_t) - \hat\varepsilon(\bar x_t)]",
        r"\bar x_0 = \frac{\hat x_t - \sigma_t\,\varepsilon_y(\hat x_t)}{\alpha_t}, \qquad "
        r"\bar x_t = \alpha_t \bar x_0 + \sigma_t \varepsilon",
    ),
    "vdm": (
        r"g = w(t)\,[\hat\varepsilon(x_t) - \lambda_t\, M_\psi(\varepsilon_y(x_t))]",
        r"\min_\psi \lVert M_\psi(\varepsilon_y) - \varepsilon \rVert^2, \qquad "
        r"\lambda_t = \begin{cases} 1 & t > 300 \\ 1 - \bar\alpha_t & \text{else} \end{cases}",
    ),
    "csd": (
        r"g = w(t)\, s\,[\varepsilon_y + u\,\varepsilon_{neg} + n\,\varepsilon_\emptyset], \qquad "
        r"1 + u + n = 0",
    ),
    "nfsd": (
        r"g = w(t)\,[\delta_C + \delta_D], \qquad \delta_C = s\,(\varepsilon_y - \varepsilon_\emptyset)",
        r"\delta_D = \begin{cases} \varepsilon_\emptyset & t < 200 \\ "
        r"\varepsilon_\emptyset - \varepsilon_{neg} & \text{else} \end{cases}",
    ),
    "ism": (r"g = w(t)\,[\hat\varepsilon(x_t) - \varepsilon_\emptyset(x_s)], \qquad s = t - \delta",),
    "sdi": (
        r"g = w(t)\,[\hat\varepsilon(\hat x_t) - \varepsilon_{inv}], \qquad "
        r"\varepsilon_{inv} = \frac{\hat x_t - \alpha_t x}{\sigma_t}",
    ),
    "ssd": (
        r"g = w(t) \begin{cases} h & t > M \\ \frac{\lVert h \rVert}{\lVert e \rVert}\, e & \text{else} \end{cases}, "
        r"\qquad h = s\,(\varepsilon_y - \varepsilon_\emptyset)",
        r"e = \varepsilon_y - \frac{\langle \varepsilon_y, \varepsilon \rangle}"
        r"{\langle \varepsilon, \varepsilon \rangle}\,\varepsilon",
    ),
    "consistent3d": (
        r"g = w\,[\hat\varepsilon(x_t, t) - \hat\varepsilon(x_{t'}, t')], \qquad t > t', \quad "
        r"\varepsilon \text{ fixed for the run}",
    ),
    "asd-async": (
        r"g = w(t)\,[\hat\varepsilon(x_t, t) - \varepsilon_y(x_{t^+}, t^+)], \qquad "
        r"t^+ = t + 0.1\,(t - t_{min})\,u, \quad u \in [0, 1]",
    ),
    "vsd": (
        r"g = w(t)\,(\hat\varepsilon(x_t) - \varepsilon_{lora}(x_t)), \qquad "
        r"\min_{lora} \lVert \varepsilon_{lora}(x_t) - \varepsilon \rVert^2",
    ),
    "asd": (
        r"g = w(t)\,(\hat\varepsilon(x_t) - \varepsilon_{lora}(x_t))",
        r"\min_{lora} \lVert \varepsilon_{lora} - \varepsilon \rVert^2 "
        r"+ \gamma \lVert \varepsilon_{lora} - \varepsilon_y \rVert^2, \qquad \gamma = -0.75",
    ),
    "lods": (
        r"g = w(t)\,(\varepsilon_a + s\,(\varepsilon_y - \varepsilon_a) - \varepsilon), \qquad "
        r"\min_a \lVert \varepsilon_a(x_t) - \varepsilon \rVert^2",
    ),
    "dreamflow": (
        r"g = (s_i - s_{i+1})\,(\hat\varepsilon(x_t) - \varepsilon_{lora}(x_t)), \qquad "
        r"t = t_i, \quad t_1 > t_2 > \dots > t_N",
        r"s = \frac{\sigma_t}{\alpha_t}, \qquad \min_{lora} \lVert \varepsilon_{lora}(x_t) - \varepsilon \rVert^2",
    ),
    "lmc": (
        r"g = w(t)\,(\hat\varepsilon(x_t) - \varepsilon_b), \qquad "
        r"\varepsilon_b = \varepsilon + \frac{\alpha_t}{\sigma_t}\,(x - b(x, t))",
        r"\min_b \lVert b(x, t) - D(x_t) \rVert^2, \qquad D(x_t) = \frac{x_t - \sigma_t\,\varepsilon_y(x_t)}{\alpha_t}",
    ),
}
