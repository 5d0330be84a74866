"""The first notebook in a real JupyterLab: run all, scrub, train, pause, and without a kernel."""

import contextlib

NAME = "00_start_here.ipynb"


class Widget:
    """The DistributionExplorer of the page, as somebody with a keyboard and a screen has it."""

    def __init__(self, notebook):
        self.notebook, self.page = notebook, notebook.page
        named = self.page.locator(".bnlib-widget", has=self.page.get_by_text("learning rate"))
        self.node = named.first
        self.node.wait_for()
        self.node.scroll_into_view_if_needed()

    @property
    def picture(self):
        """src and alt of the one picture that can be seen."""
        image = self.node.locator("img.bnlib-picture")
        return image.get_attribute("src"), image.get_attribute("alt")

    @property
    def status(self):
        return self.node.get_by_role("status").inner_text()

    def press(self, key):
        """Press a key on the film's slider; return the new picture when it is there."""
        self.node.locator(".noUi-handle").last.focus()
        before = self.picture
        self.page.keyboard.press(key)
        self.notebook.wait(f"another picture after {key}", lambda: self.picture != before, 10)
        return self.picture

    def next_learning_rate(self):
        """Go one down the list of learning rates by keyboard; return at the end of the new run."""
        before = self.picture[1]
        assert before.startswith("Step 300 of 300")
        self.node.get_by_role("combobox", name="learning rate").focus()
        self.page.keyboard.press("ArrowDown")

        # Not "wait for step 0": a run takes a second, and its first frames can pass between two
        # looks. The last frame stays, and its numbers are those of the new learning rate.
        def new_end():
            alt = self.picture[1]
            return alt != before and alt.startswith("Step 300 of 300")

        self.notebook.wait("the end of a new run", new_end, 90)

    def button(self, name):
        return self.node.get_by_role("button", name=name, exact=True)

    def train_and_pause(self, tries=5):
        """Reset, Train, and Pause before the run is over; again where the machine was faster."""
        from playwright.sync_api import TimeoutError as PlaywrightTimeout

        for _ in range(tries):
            self.button("Reset").click()
            self.notebook.wait("untrained networks", lambda: "Step 0 of 300" in self.picture[1])
            assert self.button("Pause").is_disabled()
            self.button("Train").click()
            self.notebook.wait("a few frames", lambda: "Step 0 " not in self.picture[1])
            with contextlib.suppress(PlaywrightTimeout):  # grey after the last step
                self.button("Pause").click(timeout=5000)
            self.notebook.wait("the end of it", lambda: not self.status.startswith("training"))
            if self.status.startswith("paused"):
                return
        raise AssertionError(f"not paused in {tries} tries: {self.status}")


def test_run_all_scrub_train_pause_and_no_kernel(lab):
    with lab.open(NAME) as notebook:
        assert notebook.folded_outputs() > 0  # the answers to the predictions
        notebook.run_all()
        assert notebook.folded_outputs() == 0
        widget = Widget(notebook)
        assert "Step 300 of 300" in widget.picture[1]

        # The film's frames are in the browser. It reports each move to the kernel, in a few hundred
        # bytes; nothing that comes back is large enough to hold a picture.
        received = len(notebook.received)
        scrubbed = [widget.press("ArrowLeft") for _ in range(5)]
        assert [alt.split(".")[0] for _, alt in scrubbed] == [
            f"Step {step} of 300" for step in (290, 280, 270, 260, 250)
        ]
        assert len({src for src, _ in scrubbed}) == 5
        notebook.page.wait_for_timeout(500)
        news = notebook.received[received:]
        assert max(map(len, news), default=0) < 5_000 < min(len(src) for src, _ in scrubbed)

        widget.train_and_pause()
        paused, status = widget.picture, widget.status
        notebook.page.wait_for_timeout(500)
        assert (widget.picture, widget.status) == (paused, status)
        widget.button("Train").click()
        notebook.wait("the end of the run", lambda: widget.status.startswith("finished"), 60)
        assert "Step 300 of 300" in widget.picture[1]
        widget.next_learning_rate()
        notebook.wait("the sign of it", lambda: widget.status.startswith("finished"))
        notebook.wait("a kernel at rest", lambda: notebook.state()["kernel"] == "idle")
        assert notebook.problems() == []

        notebook.shut_down_kernel()  # from here on nobody can send or answer anything
        sent = len(notebook.sent)
        scrubbed = [widget.press("ArrowLeft") for _ in range(3)]
        assert [alt.split(".")[0] for _, alt in scrubbed] == [
            f"Step {step} of 300" for step in (290, 280, 270)
        ]
        assert widget.press("Home")[1].startswith("Step 0 of 300")
        assert notebook.sent[sent:] == []
