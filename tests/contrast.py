"""What people with low vision or a colour vision deficiency see of a colour or of a figure.

Contrast as in WCAG 2.2; colour vision deficiencies by Machado, Oliveira & Fernandes 2009 ("A
physiologically-based model for simulation of color vision deficiency", table 1, severity 1.0).
"""

import re

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.lines import Line2D
from matplotlib.text import Text

TEXT, GRAPHICS = 4.5, 3.0  # the least ratios: WCAG 2.2, success criteria 1.4.3 and 1.4.11
VISIONS = {  # matrices of linear RGB
    "normal": np.eye(3),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
}
_XYZ = np.array(  # of linear sRGB
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


def linear(color):
    """Linear RGB, (3,) in [0, 1], of any colour that matplotlib knows."""
    c = np.array(to_rgb(color))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def ratio(color, other="white"):
    """The contrast ratio of two colours, 1 to 21."""
    dark, light = sorted(0.05 + linear(c) @ (0.2126, 0.7152, 0.0722) for c in (color, other))
    return light / dark


def lab(color, vision="normal"):
    """CIELAB, (3,), white point D65, of what somebody with that vision sees."""
    seen = np.clip(VISIONS[vision] @ linear(color), 0, 1)
    t = _XYZ @ seen / _XYZ.sum(axis=1)
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def difference(color, other, vision="normal"):
    """Delta E (1976): 2.3 is a just noticeable difference of two large fields side by side."""
    return np.linalg.norm(lab(color, vision) - lab(other, vision))


def faint(fig):
    """Sentences about the text and the lines of a figure that stand out too little.

    Text is compared with the pixels around its letters. Lines are compared with white, but for
    grids and what else lies below everything (zorder 0): the eye may lose that.
    """
    canvas = fig.canvas if hasattr(fig.canvas, "buffer_rgba") else FigureCanvasAgg(fig)
    canvas.draw()  # lays the figure out
    texts = [t for t in fig.findobj(Text) if t.get_visible() and t.get_text().strip()]
    boxes = [t.get_window_extent() for t in texts]
    inks = [t.get_color() for t in texts]
    for text in texts:
        text.set_color("none")
    was_animated = [a for a in fig.findobj() if a.get_animated()]
    for artist in was_animated:  # widgets draw these themselves
        artist.set_animated(False)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[::-1, :, :3] / 255
    for text, box, ink in zip(texts, boxes, inks, strict=True):
        text.set_color(ink)
        x0, y0, x1, y1 = np.clip(np.rint(box.extents).astype(int), 0, None)
        around = pixels[y0:y1, x0:x1].reshape(-1, 3)
        if len(around) and (found := ratio(ink, np.median(around, axis=0))) < TEXT:
            yield f"text {text.get_text()!r} in {ink}: {found:.2f} to 1"
    for artist in was_animated:
        artist.set_animated(True)
    lines = [line for ax in fig.axes for line in ax.get_lines()]
    for line in [*lines, *(a for a in fig.artists if isinstance(a, Line2D))]:
        if not line.get_visible() or not len(line.get_xdata()) or line.get_zorder() <= 0:
            continue
        colors = [line.get_color()]
        if line.get_linestyle() == "None":
            if line.get_marker() in ("None", "", " "):
                continue
            colors = [line.get_markeredgecolor(), line.get_markerfacecolor()]
        found = max(ratio(_on_white(color, line.get_alpha())) for color in colors)
        if found < GRAPHICS:
            yield f"line {line.get_label()!r} in {colors}: {found:.2f} to 1"


def _on_white(color, alpha):
    *rgb, own = to_rgba(color)
    return 1 - own * (1 if alpha is None else alpha) * (1 - np.array(rgb))


def needs_its_theme(html):
    """The declarations in HTML that are readable in a light or in a dark theme only.

    Whoever sets a text's colour sets its background, and the other way round; else both are the
    theme's. A picture is no text: its white ground is its own.
    """
    html = re.sub(r"<img[^>]*>|\.bnlib-picture \{[^}]*\}", "", html)
    blocks = re.findall(r'style="([^"]*)"', html)
    for sheet in re.findall(r"<style>(.*?)</style>", html, re.DOTALL):
        blocks += re.findall(r"\{([^}]*)\}", sheet)
    for block in blocks:
        pairs = (p.split(":", 1) for p in block.split(";") if ":" in p)
        found = {key.strip(): " ".join(value.split()) for key, value in pairs}
        own = [found.get(name, "none") for name in ("color", "background")]
        own = [v for v in own if not v.startswith(("none", "currentColor", "var(--jp"))]
        if len(own) == 1 or (len(own) == 2 and ratio(*own) < TEXT):
            yield block
