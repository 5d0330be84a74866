"""The built site in a real browser that reaches nothing but the site.

Not part of a plain `pytest`. It tests what `site/build.py build/site` has built, or the folder that
BNLIB_SITE names; some notebooks are enough, 00 among them.
"""

import functools
import http.server
import os
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest

# Each sentence names something wrong with the page.
DEFECTS = """() => {
  const CONTROLS = '.bnlib-widget :is(.widget-dropdown, .widget-hslider, .widget-checkbox)';
  const found = [], all = selector => [...document.querySelectorAll(selector)];
  for (const image of all('article img')) {
    if (image.style.display === 'none') continue;
    if (!image.alt.trim()) found.push('no alt text: ' + image.outerHTML.slice(0, 80));
    if (!image.naturalWidth) found.push('no picture: ' + image.alt.slice(0, 80));
  }
  for (const view of all('script[type="application/vnd.jupyter.widget-view+json"]'))
    if (!view.parentElement.querySelector('.bnlib-widget img.bnlib-picture'))
      found.push('a widget without picture');
  const PLAYER = '.widget-hbox:has(> .widget-play)';
  for (const control of all(CONTROLS))
    if (!control.querySelector('[disabled]') && !control.closest(PLAYER))
      found.push('a control that no kernel answers: ' + control.innerText);
  for (const error of all('mjx-merror')) found.push('a formula: ' + error.innerText);
  for (const formula of all('.math'))
    if (!formula.querySelector('mjx-container')) found.push('not set: ' + formula.textContent);
  for (const answer of all('article details:not(.bnlib-caption)'))
    if (answer.open) found.push('not folded: ' + answer.innerText.slice(0, 80));
  if (document.documentElement.scrollWidth > innerWidth) found.push('wider than the window');
  return found; }"""


# The character of a button's icon, in the widgets' own font; an <svg> would be a second icon.
ICON = """button => getComputedStyle(button.querySelector('i'), '::before').content
  + (button.querySelector('svg') ? ' and an svg' : '')"""


class Visitor:
    """A browser's page; `problems` holds errors of the page, and every request to elsewhere."""

    def __init__(self, page, base):
        self.page, self.base, self.problems = page, base, []
        page.route("**/*", self._route)
        page.on("pageerror", lambda error: self.problems.append(f"page error: {error}"))
        page.on("console", self._on_console)
        page.on("response", self._on_response)

    def go(self, name):
        self.page.goto(f"{self.base}/{name}")
        self.page.wait_for_load_state("networkidle")
        self.page.wait_for_function(
            "() => !document.querySelector('.math') || document.querySelector('mjx-container')"
        )
        for view in self.page.locator("script[type$='widget-view+json']").all():
            view.locator("xpath=..").locator(".bnlib-widget").wait_for(state="attached")

    def _route(self, route):
        if route.request.url.startswith(self.base):
            route.continue_()
        else:
            self.problems.append(f"a request to elsewhere: {route.request.url}")
            route.abort()

    def _on_console(self, message):
        if message.type == "error":
            self.problems.append(f"console: {message.text}")

    def _on_response(self, response):
        if response.status >= 400:
            self.problems.append(f"{response.status}: {response.url}")


@pytest.fixture(scope="module")
def site(root, require):
    folder = Path(os.environ.get("BNLIB_SITE", root / "build/site"))
    built = (folder / "00_start_here.html").exists()
    require("the site's tests", built, f"no site in {folder}: see site/build.py")
    return folder


@pytest.fixture(scope="module")
def base(site):
    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Handler, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser(require, chromium_path, chromium_args):
    require("the site's tests", find_spec("playwright"), "pip install playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=chromium_args)
        yield browser
        browser.close()


@pytest.fixture
def visitor(browser, base):
    page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
    visitor = Visitor(page, base)
    yield visitor
    page.close()
    assert visitor.problems == []


def unfold(page):
    page.evaluate("() => document.querySelectorAll('details').forEach(d => { d.open = true; })")


def pages(site):
    return sorted(path.name for path in site.glob("[0-9][0-9]_*.html"))


def test_every_page_is_whole_and_fits_a_phone(visitor, site):
    visitor.page.goto(visitor.base)  # the address of the site leads to the first notebook
    visitor.page.wait_for_url("**/00_start_here.html")
    for name in pages(site):
        visitor.go(name)
        assert visitor.page.evaluate(DEFECTS) == [], name
        assert visitor.problems == [], name
        unfold(visitor.page)
        visitor.page.set_viewport_size({"width": 390, "height": 844})
        assert visitor.page.evaluate("() => document.documentElement.scrollWidth") <= 390, name
        visitor.page.set_viewport_size({"width": 1280, "height": 900})


def test_films_move_without_a_kernel(visitor, site):
    films = 0
    for name in pages(site):
        visitor.go(name)
        unfold(visitor.page)
        play = visitor.page.locator(".widget-play")
        for film in visitor.page.locator(".bnlib-widget", has=play).all():
            films += 1
            picture = film.locator("img.bnlib-picture:visible")
            seen = {(picture.get_attribute("src"), picture.get_attribute("alt"))}
            film.locator(".noUi-handle").last.focus()
            for press in range(12):
                visitor.page.keyboard.press("ArrowLeft")
                seen.add((picture.get_attribute("src"), picture.get_attribute("alt")))
                assert len(seen) == press + 2, f"{name}: no new picture at press {press + 1}"

            play = film.get_by_role("button", name="Play the film")
            pause = film.get_by_role("button", name="Pause the film")
            for _ in range(3):  # FontAwesome must not have replaced what Play changes
                assert play.evaluate(ICON) == '"\uf04b"'
                before = picture.get_attribute("src")
                play.click()
                assert pause.evaluate(ICON) == '"\uf04c"'
                film.locator(f'img.bnlib-picture:visible:not([src="{before}"])').wait_for()
                pause.click()
                play.wait_for()
    assert films > 0


def test_the_search_finds_a_word(visitor):
    visitor.go("00_start_here.html")
    visitor.page.keyboard.press("Control+k")
    visitor.page.keyboard.type("sigmoids")
    visitor.page.keyboard.press("Enter")
    visitor.page.locator("#search-results a[href^='00_start_here.html']").first.wait_for()


LUMINANCE = """([selector, what]) => {
  const [r, g, b] = getComputedStyle(document.querySelector(selector))[what].match(/[0-9.]+/g);
  return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255; }"""
TEXT = ("article p", ".bnlib-widget .widget-label", ".bnlib-widget .bnlib-caption", "article pre")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes(visitor, theme):
    visitor.go("00_start_here.html")
    unfold(visitor.page)
    for _ in range(3):  # auto, light, dark
        if visitor.page.locator("html").get_attribute("data-mode") == theme:
            break
        visitor.page.locator(".theme-switch-button:visible").click()
    assert visitor.page.locator("html").get_attribute("data-theme") == theme
    dark = visitor.page.evaluate(LUMINANCE, ["body", "backgroundColor"]) < 0.2
    assert dark == (theme == "dark")
    for selector in TEXT:
        light = visitor.page.evaluate(LUMINANCE, [selector, "color"])
        assert light > 0.6 if dark else light < 0.4, selector


def test_the_page_opens_on_binder_and_downloads_as_it_is_in_the_tree(visitor, site, root):
    visitor.go("00_start_here.html")
    binder = visitor.page.locator("a[href^='https://mybinder.org/']").first.get_attribute("href")
    assert binder.endswith("urlpath=lab/tree/notebooks/00_start_here.ipynb")
    stored = (root / "notebooks/00_start_here.ipynb").read_bytes()
    assert (site / "_sources/00_start_here.ipynb").read_bytes() == stored


def test_it_is_small(site):
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    assert size < 40e6
