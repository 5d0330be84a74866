"""Every widget of every other notebook answers the keyboard in a real JupyterLab."""

import pytest

from bnlib.widgets.live import MAX_SIZE

# The first notebook has tests of its own.
NOTEBOOKS = {
    "01_why_normalize.ipynb": 1,
    "02_forward.ipynb": 1,
    "03_backward.ipynb": 2,
    "04_inference.ipynb": 1,
    "05_training_with_bn.ipynb": 3,
    "06_convolution.ipynb": 1,
}


def test_the_list_is_complete(root):
    found = {path.name for path in (root / "notebooks").glob("*.ipynb")}
    assert found == {"00_start_here.ipynb", *NOTEBOOKS}


@pytest.mark.parametrize(("name", "widgets"), NOTEBOOKS.items())
def test_every_slider_changes_the_picture(lab, name, widgets):
    with lab.open(name, width=1024) as notebook:
        notebook.run_all(timeout=180)
        nodes = notebook.page.locator(".bnlib-widget")
        assert nodes.count() == widgets
        for node in nodes.all():
            node.scroll_into_view_if_needed()
            box = node.bounding_box()
            assert box["width"] <= MAX_SIZE[0] and box["height"] <= MAX_SIZE[1]
            handles = node.locator(".noUi-handle:visible")
            assert handles.count() > 0
            for handle in handles.all():
                assert moves_the_picture(notebook, node, handle), (name, handle.inner_text())
            assert node.bounding_box()["height"] == box["height"]  # it does not jump
        notebook.wait("a kernel at rest", lambda: notebook.state()["kernel"] == "idle", 60)
        assert notebook.problems() == []


def moves_the_picture(notebook, node, handle):
    """Press an arrow key on a slider, the other one if it stands at its end."""

    def picture():
        image = node.locator("img:visible").first
        return image.get_attribute("src"), image.get_attribute("alt")

    for key in ("ArrowLeft", "ArrowRight"):
        before = picture()
        handle.focus()
        notebook.page.keyboard.press(key)
        try:
            notebook.wait("another picture", lambda seen=before: picture() != seen, 15)
        except TimeoutError:
            continue
        return True
    return False
