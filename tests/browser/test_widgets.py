"""Every widget in a real JupyterLab: its size, its names, the keyboard, and a notebook reopened.

For people without a mouse, with a screen reader, in the dark theme, and in the last row. One page
for all tests of this file, which go on where the one before stopped.
"""

import pytest
from browser.conftest import ALL, WIDGETS
from contrast import TEXT, ratio

from bnlib.widgets.live import MAX_SIZE

PICTURE = "img.bnlib-picture"
SETTINGS = """widget => Object.fromEntries([...widget.querySelectorAll(
  '.widget-hslider, .widget-dropdown, .widget-checkbox')].map(control => [
    control.querySelector('.widget-label, .widget-label-basic').textContent.trim(),
    control.querySelector('select')?.selectedOptions[0].text.replaceAll('\\u00a0', ' ')
      ?? control.querySelector('.widget-readout')?.textContent]))"""
SHOWS = "widget => JSON.parse(widget.querySelector('img[data-shows]').dataset.shows)"
# What is on the screen for 150 ms only, a test on a busy machine may never see: the page notes it.
NOTE_PICTURES = """widget => {
  widget.noted = [];
  const look = () => {
    const step = widget.querySelector('img.bnlib-picture')?.alt.split('.')[0];
    if (step && step !== widget.noted.at(-1)) widget.noted.push(step);
  };
  new MutationObserver(look).observe(widget, {subtree: true, childList: true, attributes: true});
}"""
# What a screen reader is told.
NOTE_SAID = """widget => {
  const said = widget.querySelector('.bnlib-said[aria-live=polite]');
  widget.said = [];
  new MutationObserver(() => widget.said.push(said.textContent)).observe(said, {childList: true});
}"""
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
HAS_FOCUS = "node => node === document.activeElement"
# Every text with its colour and the one behind it, each three numbers from 0 to 1.
TEXTS = """root => {
  const rgba = text => text.match(/[\\d.]+/g).map(Number);
  const over = ([r, g, b, a = 1], below) => [r, g, b].map((c, i) => a * c + (1 - a) * below[i]);
  const ground = node => {
    const layers = [];
    for (let at = node; at; at = at.parentElement)
      layers.unshift(getComputedStyle(at).backgroundColor);
    return layers.reduce((below, text) => over(rgba(text), below), [255, 255, 255]);
  };
  const found = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.data.trim(), node = walker.currentNode.parentElement;
    if (!text || !node.checkVisibility() || node.closest('style, :disabled')) continue;
    const below = ground(node), color = over(rgba(getComputedStyle(node).color), below);
    found.push([text.slice(0, 40), ...[color, below].map(rgb => rgb.map(c => c / 255))]);
  }
  return found; }"""
# Whatever there is of it on the screen, in CSS px: a widget in projector mode is zoomed.
FONT = "node => parseFloat(getComputedStyle(node).fontSize) * (node.currentCSSZoom ?? 1)"


@pytest.fixture(scope="module")
def notebook(lab):
    with lab.open(ALL, 1024, 640) as notebook:
        notebook.run_all()
        notebook.widgets = nodes(notebook)
        yield notebook


def nodes(notebook):
    found = notebook.page.locator(".bnlib-widget")
    notebook.wait("every widget", lambda: found.count() == len(WIDGETS))
    return dict(zip(WIDGETS, found.all(), strict=True))


def picture(node):
    image = node.locator(PICTURE).first
    return image.get_attribute("src"), image.get_attribute("alt")


def shows(notebook, node, step):
    notebook.wait(f"step {step}", lambda: picture(node)[1].startswith(f"Step {step} "))


def moves_the_picture(notebook, node, handle):
    """Press an arrow key on a slider, the other one if it stands at its end."""
    for key in ("ArrowLeft", "ArrowRight"):
        before = picture(node)
        handle.focus()
        notebook.page.keyboard.press(key)
        try:
            notebook.wait("another picture", lambda seen=before: picture(node) != seen, 4)
        except TimeoutError:
            continue
        return handle.evaluate(HAS_FOCUS)
    return False


def differs(widgets):
    """Every label whose picture is not that of its control."""
    for name, node in widgets.items():
        wanted, settings = node.evaluate(SHOWS), node.evaluate(SETTINGS)
        for label in wanted.keys() & settings.keys():
            if isinstance(wanted[label], str) and wanted[label] != settings[label]:
                yield name, label, wanted[label], settings[label]


def test_sizes_and_names(notebook):
    said = notebook.page.locator(".bnlib-said").all_text_contents()
    assert said == [""] * len(WIDGETS)  # they do not all speak at once
    panel = notebook.page.locator(".jp-WindowedPanel-outer").bounding_box()
    for name, node in notebook.widgets.items():
        node.scroll_into_view_if_needed()
        box, image = node.bounding_box(), node.locator(PICTURE).first.bounding_box()
        assert box["width"] <= MAX_SIZE[0] and box["height"] <= MAX_SIZE[1], (name, box)
        assert box["height"] <= panel["height"] and image["width"] <= panel["width"], name
        assert image["width"] == pytest.approx(box["width"], abs=60), name
        # What a screen reader gets: names, values in words, one picture.
        tree = node.aria_snapshot()
        for role in ("combobox", "slider", "checkbox", "button", "img"):
            parts = [p.strip(" -'") for p in tree.splitlines() if p.strip(" -'").startswith(role)]
            assert all(f'{role} "' in part for part in parts), (name, parts)
        assert tree.count('img "') == 1 and f'img "{picture(node)[1][:40]}' in tree
        for control in node.get_by_role("slider").all():
            row = control.locator("xpath=ancestor::*[contains(@class, 'widget-hslider')]")
            shown = row.locator(".widget-readout").inner_text()
            assert shown and control.get_attribute("aria-valuetext") == shown, name
            assert moves_the_picture(notebook, node, control), (name, shown)
        for select in node.get_by_role("combobox").all():
            label = select.locator("xpath=..").locator("label").inner_text()
            assert node.get_by_role("combobox", name=label).count() == 1, (name, label)
        assert node.bounding_box() == box  # it does not jump
    assert notebook.problems() == []


@pytest.mark.parametrize("name", ["DistributionExplorer", "TransformExplorer", "NormExplorer"])
def test_tab_reaches_every_control_and_back_and_arrow_keys_change_menus(notebook, name):
    """JupyterLab would take the arrow keys of a menu, and go to another cell."""
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
    for _ in range(len(way) + 10):  # between them the cell and its toolbar
        keyboard.press("Shift+Tab")
        if first.evaluate(HAS_FOCUS):
            break
    assert first.evaluate(HAS_FOCUS)

    cells = notebook.page.locator(".jp-Cell").count()
    value = "node => node.selectedOptions[0].text"
    for menu in node.get_by_role("combobox").all():
        menu.focus()
        seen = {menu.evaluate(value)}
        for key in ("ArrowDown", "ArrowUp"):  # one of them leads away from an end
            keyboard.press(key)
            seen.add(menu.evaluate(value))
            assert menu.evaluate(HAS_FOCUS), (name, key)
        assert len(seen) > 1, (name, seen)
    keyboard.press("b")  # in JupyterLab a new cell, d twice takes one away
    keyboard.press("d")
    keyboard.press("d")
    assert notebook.page.locator(".jp-Cell").count() == cells
    stale = notebook.page.locator(".bnlib-stale")
    notebook.wait("pictures of the last settings", lambda: stale.count() == 0, 60)
    everything = notebook.widgets  # the last event may be under way
    notebook.wait("pictures of what the controls say", lambda: not list(differs(everything)), 60)
    assert notebook.problems() == []


def test_a_film_is_played_and_stopped_by_keys_and_dragged(notebook):
    node, keyboard = notebook.widgets["DistributionFilm"], notebook.page.keyboard
    node.scroll_into_view_if_needed()
    node.get_by_role("slider").last.focus()
    keyboard.press("End")  # Play starts again from the last frame
    shows(notebook, node, 60)
    node.evaluate(NOTE_PICTURES)
    play = node.get_by_role("button", name="Play the film")
    play.focus()
    keyboard.press("Enter")
    film = [f"Step {step} of 60" for step in range(0, 70, 10)]
    notebook.wait("a film that plays", lambda: film == node.evaluate("n => n.noted.slice(-7)"))
    play.wait_for()  # not "Pause" any more
    node.get_by_role("button", name="Stop, back to the start").focus()
    keyboard.press("Space")
    shows(notebook, node, 0)
    node.locator("summary").first.focus()
    keyboard.press("Enter")
    assert node.locator("details").first.get_attribute("open") is not None

    node, mouse = notebook.widgets["LandscapeFilm"], notebook.page.mouse
    node.get_by_role("slider").last.focus()
    keyboard.press("End")
    shows(notebook, node, 100)
    handle = node.get_by_role("slider").last.bounding_box()
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    track = node.locator(".noUi-base").last.bounding_box()["width"]
    mouse.move(x, y)
    mouse.down()
    for tenth in range(1, 6):
        mouse.move(x - tenth * track / 10, y)
        shows(notebook, node, 100 - 10 * tenth)
    mouse.up()
    assert node.get_by_role("slider").last.get_attribute("aria-valuetext") == "step 50"
    assert notebook.problems() == []


def test_a_screen_reader_is_told_of_each_picture_that_stays(notebook):
    node, keyboard = notebook.widgets["DistributionFilm"], notebook.page.keyboard
    node.scroll_into_view_if_needed()
    notebook.page.wait_for_timeout(1000)  # what earlier tests made it say
    node.evaluate(NOTE_SAID)
    node.get_by_role("slider").last.focus()
    for key in ("End", "Home", "ArrowRight"):  # a hand that goes on
        keyboard.press(key)
    shows(notebook, node, 10)
    heard = lambda: node.evaluate("n => n.said")  # noqa: E731
    notebook.wait("the sentence", lambda: heard() == [picture(node)[1]], 5)
    node.get_by_role("button", name="Play the film").click()
    shows(notebook, node, 60)
    notebook.wait("the last sentence", lambda: len(heard()) > 1, 5)
    assert heard()[1:] == [picture(node)[1]]  # and none of a film that plays

    node = notebook.widgets["DistributionExplorer"]
    node.evaluate(NOTE_SAID)
    node.get_by_role("combobox", name="initial scale").select_option("0.6")
    notebook.wait("the end of a run", lambda: heard() and "Step 100 of 100" in heard()[-1], 60)
    assert heard()[-1] == picture(node)[1]


def test_a_setting_changed_while_the_kernel_is_busy(notebook, lab):
    lab.wire.delay = 0.06  # each way: as a server 120 ms away
    for name, label, value in (
        ("DistributionExplorer", "activation", "sigmoid"),
        ("TransformExplorer", "batch size N", "16"),
    ):
        node = notebook.widgets[name]
        node.scroll_into_view_if_needed()
        before = picture(node)
        assert not node.get_by_text("working").is_visible()
        # A subshell answers widgets while a cell runs; this one keeps all of Python to itself.
        notebook.page.evaluate(
            """() => { window.jupyterapp.shell.currentWidget.sessionContext.session.kernel
              .requestExecute({code: 'sum(range(80_000_000))'}); }"""
        )
        node.get_by_role("combobox", name=label).select_option(value)
        node.get_by_text("working").wait_for(timeout=3000)
        assert picture(node) == before
        there = lambda n=node, w=label, v=value: n.evaluate(SHOWS)[w] == v  # noqa: E731
        notebook.wait(f"the picture of {label} {value}", there, 60)
        node.get_by_text("working").wait_for(state="hidden", timeout=3000)
    lab.wire.delay = 0.0
    assert notebook.problems() == []


@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_texts_are_readable_in_both_themes(notebook, theme):
    """Widgets, captions, a card, a table, a message: what bnlib puts into a page."""
    page = notebook.page
    page.evaluate(
        "t => window.jupyterapp.commands.execute('apputils:change-theme', {theme: t})", theme
    )
    page.locator(f"body[data-jp-theme-name='{theme}']").wait_for(state="attached")
    page.wait_for_timeout(500)  # its style sheet
    roots = page.locator(".bnlib-widget, .jp-OutputArea-output").all()
    assert len(roots) > len(WIDGETS) + 2
    for root in roots:
        assert [text for text in root.evaluate(TEXTS) if ratio(*text[1:]) < TEXT] == []
    # Pictures keep their own ground, white, in both.
    for image in page.locator(PICTURE).all():
        assert image.evaluate("i => getComputedStyle(i).backgroundColor") == "rgb(255, 255, 255)"


def test_projector_mode_is_large_and_fits_1280_by_720(notebook):
    page = notebook.page
    page.set_viewport_size({"width": 1280, "height": 720})
    # Without projector mode the widgets fit as well.
    for name, node in notebook.widgets.items():
        node.locator("details[open] summary").evaluate_all("open => open.map(s => s.click())")
        box = node.bounding_box()
        assert box["width"] <= MAX_SIZE[0] and box["height"] <= MAX_SIZE[1], (name, box)
    assert "Projector mode is on" in notebook.run("import bnlib\nbnlib.use_projector()")
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
    assert code.first.bounding_box()["height"] > 100  # the set-up shows no widget

    node = notebook.widgets["DistributionFilm"]  # the mouse still hits what it points at
    node.scroll_into_view_if_needed()
    node.get_by_role("slider").last.focus()
    page.keyboard.press("End")
    shows(notebook, node, 60)
    handle = node.get_by_role("slider").last.bounding_box()
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 200, y, steps=5)
    page.mouse.up()
    moved = node.get_by_role("slider").last.bounding_box()["x"] + handle["width"] / 2
    assert abs(moved - (x - 200)) < 60  # frames are that far apart
    assert notebook.problems() == []


def test_saved_closed_without_a_kernel_and_reopened(lab, notebook):
    notebook.save()
    notebook.shut_down_kernel()
    notebook.page.close()
    with lab.open(ALL, 1024, 640) as notebook:
        widgets = nodes(notebook)
        widgets["DistributionFilm"].locator(PICTURE).wait_for()
        notebook.shut_down_kernel()
        for name, node in widgets.items():
            node.scroll_into_view_if_needed()
            source, alt = picture(node)
            assert source.startswith("data:image/png") and len(source) > 5000 and alt, name
            width = node.locator(PICTURE).first.evaluate("image => image.naturalWidth")
            assert width > 800, name
            if node.locator(".widget-play").count():
                handle = node.get_by_role("slider").last
                assert moves_the_picture(notebook, node, handle), name
        # Nobody can draw what a control asks for now: the old picture does not pass for it.
        node = widgets["TransformExplorer"]
        node.get_by_role("combobox", name="batch size N").select_option("4")
        node.get_by_text("working").wait_for(timeout=5000)
        assert notebook.problems() == []
