"""How fast the widgets are: medians, interleaved, on one core, in seconds of processor time.

Processor time, because it is the same on a busy machine; on one idle core it is what one waits.

- A frame of the DistributionExplorer against a new pyplot figure of the same content.
- A changed setting: to the first new frame, and until both networks are retrained for 300 steps
  and every frame is drawn.
- The size of a frame.
"""

import io
import statistics
import time

import matplotlib

matplotlib.use("agg")

from benchmarks import ratio
from matplotlib import pyplot as plt

from bnlib.figures import RC
from bnlib.widgets import DistributionExplorer

# What build() makes, and the widget must have back afterwards.
BUILT = ("grid", "seldom", "_curves", "_high", "_drawn")
TARGETS = {
    "pyplot / frame": (12, None),
    "first new frame, s": (None, 1.5),
    "retrained and all frames, s": (None, 1.5),
    "smallest frame, kB": (10, None),
    "largest frame, kB": (None, 30),
}


def pyplot_frame(explorer, frame):
    """The same picture the usual way: a new figure, all artists new, saved as PNG, closed."""
    with matplotlib.rc_context(RC):
        width, height = explorer.size
        fig = plt.figure(figsize=(width / 96, height / 96), dpi=96)
        kept = {name: getattr(explorer, name) for name in BUILT}
        explorer.seldom = []
        explorer.build(fig)
        explorer.draw(frame, **explorer.values())
        for name, artists in kept.items():
            setattr(explorer, name, artists)
        out = io.BytesIO()
        fig.savefig(out, format="png")
        plt.close(fig)
    return out.getvalue()


def test_widgets_meet_their_targets(rounds=15, changes=5):
    explorer = DistributionExplorer()
    values = explorer.values()
    explorer.render(frame=0, **values)
    slow, fast = [], []
    for i in range(rounds):
        frame = (7 * i) % len(explorer.labels)
        slow.append(ratio.seconds(pyplot_frame, explorer, frame))
        for k in range(frame, frame + 5):
            fast.append(ratio.seconds(lambda k=k: explorer.render(frame=k % 31, **values)))
    first, whole = [], []
    rate = explorer.settings["learning_rate"]
    train = explorer.train
    for i in range(changes):
        # _on_control is reset(), which shows the first new frame, then train().
        start = time.process_time()
        explorer.train = lambda start=start: (first.append(time.process_time() - start), train())
        rate.value = (0.3, 0.1)[i % 2]
        whole.append(time.process_time() - start)
    sizes = [n / 1000 for n in explorer.frame_bytes]
    median = statistics.median
    figures = {
        "pyplot figure, ms": 1000 * median(slow),
        "frame, ms": 1000 * median(fast),
        "pyplot / frame": median(slow) / median(fast),
        "first new frame, s": median(first),
        "retrained and all frames, s": median(whole),
        "smallest frame, kB": min(sizes),
        "largest frame, kB": max(sizes),
    }
    ratio.check(figures, TARGETS)
