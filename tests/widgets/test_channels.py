"""ChannelFilm: the panels show the recorded channels, frame by frame, and say so in words."""

from dataclasses import replace

import numpy as np
import pytest

from bnlib import Recorder, cnn, compare, load_mnist
from bnlib.figures.format import number
from bnlib.widgets import ChannelFilm


@pytest.fixture(scope="module")
def recordings():
    data = load_mnist(pool=True, shape="image", n_train=200, n_test=20)
    nets = {
        name: cnn((1, 4, 6), norm=norm, image_size=14)
        for name, norm in {"without BN": None, "with BN": "batch"}.items()
    }
    recorder = Recorder(data, every=2, probe_size=20, eval_size=20, channels=3)
    runs = compare(nets, data, 4, lr=0.1, batch_size=20, recorder=recorder)
    return {name: run.recording for name, run in runs.items()}


def test_each_panel_follows_its_channel(recordings):
    layer = 1
    film = ChannelFilm(recordings, layer=layer)
    assert film.error is None
    assert len(film.frame_bytes) == 3 and max(film.frame_bytes) < 40_000
    labels = [text.get_text() for text in film.figure.texts if "channel" in text.get_text()]
    assert labels == [f"channel {c}" for c in recordings["with BN"].channel_index[layer]]
    for frame in (0, 2):
        film.draw(frame)
        for name, recording in recordings.items():
            for row in range(3):
                panel = film.grid.panels[name, row]
                mean = recording.channel_mean[:, layer, row]
                std = recording.channel_std[:, layer, row]
                np.testing.assert_allclose(panel.lines.get_segments()[0][:, 1], mean)
                band = panel.bands.get_paths()[0].vertices[:6, 1]
                np.testing.assert_allclose(band, [*(mean - std), *(mean + std)[::-1]])
                assert panel.numbers["std"].text == number(std[frame], 0.0005)
                assert panel.numbers["moved"].text == number(abs(mean[frame] - mean[0]), 0.0005)


def test_the_sentence_gives_the_range_of_the_channels(recordings):
    film = ChannelFilm(recordings)
    film.frame = 0
    r = recordings["without BN"]
    mean, std = r.channel_mean[0, 0], r.channel_std[0, 0]
    assert film.sentence.startswith("Step 0 of 4. Without BN: channel means ")
    assert f"means {mean.min():.2f} to {mean.max():.2f}" in film.sentence
    assert f"stds {std.min():.2f} to {std.max():.2f}" in film.sentence


def test_what_it_cannot_show_is_refused(recordings):
    r = recordings["with BN"]
    with pytest.raises(ValueError, match=r"Recorder\(data, channels=8\)"):
        ChannelFilm({"with BN": replace(r, channel_mean=None)})
    with pytest.raises(ValueError, match="layer expected from 0 to 1, got 2"):
        ChannelFilm(recordings, layer=2)
    other = replace(r, channel_index=r.channel_index + 1)
    with pytest.raises(ValueError, match="the same channels"):
        ChannelFilm(recordings | {"with BN": other})
