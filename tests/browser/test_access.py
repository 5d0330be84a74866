"""For people without a mouse, with a screen reader, in the dark theme, and in the last row."""

import pytest
from browser.conftest import ALL, PROJECTED, WIDGETS
from contrast import TEXT

PICTURE = "img.bnlib-picture"
REACHED = """widget => {
  const at = document.activeElement;
  if (!widget.contains(at)) return null;
  at.dataset.reached = 'yes';
  return at.outerHTML; }"""
# What is on the screen to be operated, and no key has reached.
MISSED = """widget => [...widget.querySelectorAll(
    'select, input, button, summary, .noUi-handle, .widget-readout[contenteditable=true]')]
  .filter(node => !node.disabled && node.checkVisibility() && !node.dataset.reached)
  .map(node => node.outerHTML)"""
# The texts whose contrast with what is behind them is too low: [text, ratio].
FAINT = """([root, least]) => {
  const rgba = text => text.match(/[\\d.]+/g).map(Number);
  const over = ([r, g, b, a = 1], below) => [r, g, b].map((c, i) => a * c + (1 - a) * below[i]);
  const ground = node => {
    const layers = [];
    for (let at = node; at; at = at.parentElement)
      layers.unshift(getComputedStyle(at).backgroundColor);
    return layers.reduce((below, text) => over(rgba(text), below), [255, 255, 255]);
  };
  const linear = c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = rgb => rgb.map(c => linear(c / 255))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0.05);
  const found = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.data.trim(), node = walker.currentNode.parentElement;
    if (!text || !node.checkVisibility() || node.closest('style, :disabled')) continue;
    const below = ground(node), color = over(rgba(getComputedStyle(node).color), below);
    const [a, b] = [light(color), light(below)];
    const ratio = Math.max(a, b) / Math.min(a, b);
    if (ratio < least) found.push([text.slice(0, 40), ratio]);
  }
  return found; }"""
# Whatever there is of it on the screen, in CSS px: a widget in projector mode is zoomed.
FONT = "node => parseFloat(getComputedStyle(node).fontSize) * (node.currentCSSZoom ?? 1)"


@pytest.fixture(scope="module")
def opened(lab):
    """opened(name): the notebook, run, in a window of 1280 x 720; each is opened once."""
    contexts = {}

    def opened(name):
        if name not in contexts:
            contexts[name] = lab.open(name, 1280, 720)
            notebook = contexts[name].__enter__()
            notebook.run_all()
            notebook.widgets = dict(
                zip(WIDGETS, notebook.page.locator(".bnlib-widget").all(), strict=True)
            )
            opened.notebooks[name] = notebook
        return opened.notebooks[name]

    opened.notebooks = {}
    yield opened
    for context in contexts.values():
        context.__exit__(None, None, None)


def picture(node):
    return node.locator(PICTURE).first.get_attribute("alt")


@pytest.mark.parametrize(
    "name", ["DistributionExplorer", "DistributionFilm", "TransformExplorer", "NormExplorer"]
)
def test_tab_reaches_every_control_and_back(opened, name):
    notebook = opened(ALL)
    node, keyboard = notebook.widgets[name], notebook.page.keyboard
    node.scroll_into_view_if_needed()
    first = node.locator("select").first
    first.focus()
    way = [node.evaluate(REACHED)]
    for _ in range(40):
        keyboard.press("Tab")
        if (at := node.evaluate(REACHED)) is None:
            break
        way.append(at)
    assert node.evaluate(MISSED) == []
    assert len(way) < 40, "a trap: the Tab key never leaves the widget"
    is_there = "node => node === document.activeElement"
    for _ in range(len(way) + 10):  # between them the cell and its toolbar
        keyboard.press("Shift+Tab")
        if first.evaluate(is_there):
            break
    assert first.evaluate(is_there)


@pytest.mark.parametrize(
    "name", ["DistributionExplorer", "DistributionFilm", "TransformExplorer", "NormExplorer"]
)
def test_arrow_keys_change_every_menu_and_slider(opened, name):
    """JupyterLab would take the arrow keys of a menu, and go to another cell."""
    notebook = opened(ALL)
    node, keyboard = notebook.widgets[name], notebook.page.keyboard
    node.scroll_into_view_if_needed()
    cells = notebook.page.locator(".jp-Cell").count()
    for role, value in (
        ("combobox", "node => node.selectedOptions[0].text"),
        ("slider", "node => node.getAttribute('aria-valuetext')"),
    ):
        for control in node.get_by_role(role).all():
            control.focus()
            before, there = control.evaluate(value), None
            for key in ("ArrowDown", "ArrowUp"):  # one of them leads away from an end
                keyboard.press(key)
                notebook.page.wait_for_timeout(100)
                there = there or (control.evaluate(value) != before)
                assert control.evaluate("node => node === document.activeElement"), (role, key)
            assert there, (name, role, before)
    menu = node.get_by_role("combobox").first
    menu.focus()
    keyboard.press("b")  # in JupyterLab a new cell, d twice takes one away
    keyboard.press("d")
    keyboard.press("d")
    assert notebook.page.locator(".jp-Cell").count() == cells
    stale = notebook.page.locator(".bnlib-stale")
    notebook.wait("pictures of the last settings", lambda: stale.count() == 0, 60)
    assert notebook.problems() == []


def test_a_film_is_played_and_stopped_by_keys(opened):
    notebook = opened(ALL)
    node, keyboard = notebook.widgets["DistributionFilm"], notebook.page.keyboard
    node.scroll_into_view_if_needed()
    node.get_by_role("slider").last.focus()
    keyboard.press("Home")
    notebook.wait("the start", lambda: picture(node).startswith("Step 0 "))
    node.get_by_role("button", name="Play the film").focus()
    keyboard.press("Enter")
    notebook.wait("another frame", lambda: not picture(node).startswith("Step 0 "))
    node.get_by_role("button", name="Stop, back to the start").focus()
    keyboard.press("Space")
    notebook.wait("the start again", lambda: picture(node).startswith("Step 0 "))
    node.locator("summary").first.focus()
    keyboard.press("Enter")
    assert node.locator("details").first.get_attribute("open") is not None


@pytest.mark.parametrize("name", WIDGETS)
def test_a_screen_reader_gets_names_values_and_the_picture(opened, name):
    node = opened(ALL).widgets[name]
    tree = node.aria_snapshot()
    for role in ("combobox", "slider", "checkbox", "button", "img"):
        parts = [p.strip(" -'") for p in tree.splitlines() if p.strip(" -'").startswith(role)]
        assert all(f'{role} "' in part for part in parts), (name, parts)
    # The alt text of one picture; those of the other frames are not read out.
    assert tree.count('img "') == 1 and f'img "{picture(node)[:40]}' in tree
    for handle in node.get_by_role("slider").all():
        # Both at once: a film may still be on its way to where the last test sent it.
        said, shown = handle.evaluate(
            """node => [node.getAttribute("aria-valuetext"),
              node.closest(".widget-hslider").querySelector(".widget-readout").textContent]"""
        )
        assert said and said == shown, name
    for menu in node.get_by_role("combobox").all():
        assert menu.evaluate("node => node.selectedOptions[0].text").strip()


@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_texts_are_readable_in_both_themes(opened, theme):
    """Widgets, captions, a card, a table, a message: what bnlib puts into a page."""
    notebook = opened(PROJECTED)
    page = notebook.page
    page.evaluate(
        "t => window.jupyterapp.commands.execute('apputils:change-theme', {theme: t})", theme
    )
    page.locator(f"body[data-jp-theme-name='{theme}']").wait_for(state="attached")
    page.wait_for_timeout(500)  # its style sheet
    roots = page.locator(".bnlib-widget, .jp-OutputArea-output").all()
    assert len(roots) > len(WIDGETS) + 3
    for root in roots:
        assert root.evaluate(f"(node, least) => ({FAINT})([node, least])", TEXT) == []
    # Pictures keep their own ground, white, in both.
    for image in page.locator(PICTURE).all():
        assert image.evaluate("i => getComputedStyle(i).backgroundColor") == "rgb(255, 255, 255)"


def test_projector_mode_is_large_and_fits_1280_by_720(opened):
    notebook = opened(PROJECTED)
    page = notebook.page
    panel = page.locator(".jp-WindowedPanel-outer").bounding_box()
    for name, node in notebook.widgets.items():
        node.scroll_into_view_if_needed()
        box, image = node.bounding_box(), node.locator(PICTURE).first
        assert box["height"] <= panel["height"], (name, box)
        assert box["x"] + box["width"] <= panel["x"] + panel["width"], (name, box)
        assert node.evaluate("n => n.scrollWidth <= n.clientWidth + 1"), name
        # 12 pt in the picture are 15 on the screen.
        scale = image.bounding_box()["width"] / image.evaluate("i => i.naturalWidth")
        assert 12 * scale >= 14.9, (name, scale)
        for label in node.locator(".widget-label:visible, .bnlib-caption").all():
            assert label.evaluate(FONT) >= 20, (name, label.inner_text())
    figure = page.locator(".jp-RenderedHTML > img[alt='Both learn.']")
    assert figure.bounding_box()["width"] >= 1.25 * figure.evaluate("i => i.naturalWidth")
    for where, least in (
        ("#prose, .jp-MarkdownOutput p", 20),
        ("[role=note] strong", 20),
        (".jp-RenderedHTML td", 18),
        (".jp-InputArea-editor .cm-line", 18),
    ):
        assert page.locator(where).first.evaluate(FONT) >= least, where

    # What made the widget is one line, until somebody clicks on it.
    cell = page.locator(".jp-CodeCell", has=page.locator(".bnlib-widget")).first
    code = page.locator(".jp-InputArea-editor")
    assert cell.locator(code).bounding_box()["height"] <= 34
    assert code.nth(1).bounding_box()["height"] > 100  # the set-up shows no widget

    node = notebook.widgets["DistributionFilm"]  # the mouse still hits what it points at
    node.scroll_into_view_if_needed()
    handle = node.get_by_role("slider").last
    box = handle.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] - 200, box["y"] + 5, steps=5)
    page.mouse.up()
    moved = handle.bounding_box()
    assert abs(moved["x"] + moved["width"] / 2 - (box["x"] - 200)) < 60  # frames are that far apart
    assert notebook.problems() == []
