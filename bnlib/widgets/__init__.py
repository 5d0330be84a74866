"""Widgets for Jupyter: pictures that answer a slider in milliseconds.

`LiveFigure` is a figure with controls, `Film` one that runs over training time; the widgets of the
notebooks are built on these two.
"""

from bnlib.widgets.channels import ChannelFilm
from bnlib.widgets.controls import checkbox, choices, menu, slider
from bnlib.widgets.distributions import DistributionFilm
from bnlib.widgets.explorer import DistributionExplorer
from bnlib.widgets.film import Film
from bnlib.widgets.jacobian import JacobianExplorer, ProjectionExplorer
from bnlib.widgets.landscape_film import LandscapeFilm
from bnlib.widgets.live import LiveFigure
from bnlib.widgets.norm_explorer import NormExplorer
from bnlib.widgets.running import RunningStatisticsExplorer
from bnlib.widgets.signal_explorer import SignalExplorer
from bnlib.widgets.transform import TransformExplorer

__all__ = [
    "ChannelFilm",
    "DistributionExplorer",
    "DistributionFilm",
    "Film",
    "JacobianExplorer",
    "LandscapeFilm",
    "LiveFigure",
    "NormExplorer",
    "ProjectionExplorer",
    "RunningStatisticsExplorer",
    "SignalExplorer",
    "TransformExplorer",
    "checkbox",
    "choices",
    "menu",
    "slider",
]
