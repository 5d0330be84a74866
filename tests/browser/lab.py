"""A real JupyterLab in a real browser, for tests.

    with jupyterlab(folder, chromium_path, chromium_args) as lab:
        with lab.open("00_start_here.ipynb") as notebook:
            notebook.run_all()
            notebook.page.keyboard.press("ArrowRight")

The server works on a copy of the folder, with its own settings and without the user's. Errors of
the browser's console, failed cells and widgets that did not render: `notebook.problems()`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},  # every cell is in the page
}
# A browser that asks nobody for updates: the tests must not need a network.
QUIET = [
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]
# Messages of the browser about the network, not about our code.
HARMLESS = ("favicon", "ERR_", "Failed to fetch", "WebSocket connection")
NOTEBOOK_STATE = """() => {
  const panel = window.jupyterapp?.shell?.currentWidget;
  const cells = panel?.content?.widgets ?? [];
  return {kernel: panel?.sessionContext?.session?.kernel?.status ?? null,
          pending: cells.filter(c => c.promptNode?.textContent?.includes('*')).length}; }"""
RUN_ALL = """timeout => Promise.race([
  window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => true),
  new Promise(resolve => setTimeout(() => resolve(false), timeout))])"""
CELL_PROBLEMS = """() => {
  const found = [];
  window.jupyterapp.shell.currentWidget.content.widgets.forEach((cell, i) => {
    if (cell.model.type !== 'code') return;
    for (let k = 0; k < cell.model.outputs.length; k++) {
      const out = cell.model.outputs.get(k).toJSON();
      if (out.output_type === 'error') found.push(`cell ${i}: ${out.ename}: ${out.evalue}`);
      if (out.name === 'stderr') found.push(`cell ${i}, stderr: ${[].concat(out.text).join('')}`);
    }
    const text = cell.node.innerText;
    for (const sign of ['Error displaying widget', 'Failed to load model', 'Loading widget'])
      if (text.includes(sign)) found.push(`cell ${i}: ${sign}`);
  });
  return found; }"""


FOLDED = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .filter(cell => cell.model.type === 'code' && cell.model.outputs.length && cell.outputHidden)
  .length"""


class Lab:
    """A running server and a browser; `open` gives a notebook in a fresh window."""

    def __init__(self, url: str, browser) -> None:
        self.url = url
        self.browser = browser

    @contextlib.contextmanager
    def open(self, name: str, width: int = 1400, height: int = 1000) -> Iterator[Notebook]:
        page = self.browser.new_page(viewport={"width": width, "height": height})
        notebook = Notebook(page)
        page.goto(f"{self.url}/lab/tree/{name}?reset")
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
        notebook.wait("kernel idle", lambda: notebook.state()["kernel"] == "idle", 90)
        page.evaluate(
            "() => { const s = window.jupyterapp.shell; s.collapseLeft(); s.collapseRight(); }"
        )
        try:
            yield notebook
        finally:
            page.close()


class Notebook:
    """An open notebook: the Playwright page, the messages on its websocket, its problems."""

    def __init__(self, page) -> None:
        self.page = page
        self.sent: list[bytes] = []
        self.received: list[bytes] = []
        self._console: list[str] = []
        page.on("websocket", self._listen)
        page.on("pageerror", lambda error: self._console.append(f"page error: {error}"))
        page.on("console", self._on_console)

    def run_all(self, timeout: float = 120) -> None:
        """Run every cell and wait for the last one."""
        done = self.page.evaluate(RUN_ALL, 1000 * timeout)
        if not done:
            raise TimeoutError(f"not run in {timeout} s: {self.state()}, {self.problems()}")
        self.wait("a kernel at rest", lambda: self.state() == {"kernel": "idle", "pending": 0})

    def shut_down_kernel(self) -> None:
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        self.wait("kernel gone", lambda: self.state()["kernel"] in (None, "dead", "unknown"), 30)

    def state(self) -> dict:
        return self.page.evaluate(NOTEBOOK_STATE)

    def wait(self, what: str, condition, timeout: float = 30) -> None:
        """Wait until condition() is true."""
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(
                    f"waited {timeout} s for {what}: {self.state()}, {self.problems()}"
                )
            self.page.wait_for_timeout(
                50
            )  # not time.sleep: the page's events are handled meanwhile

    def problems(self) -> list[str]:
        """Failed cells, stderr, widgets that did not render, errors of the browser's console."""
        return self._console + self.page.evaluate(CELL_PROBLEMS)

    def folded_outputs(self) -> int:
        """How many cells hide the output that they have."""
        return self.page.evaluate(FOLDED)

    def _listen(self, socket) -> None:
        if "/channels" not in socket.url:
            return
        as_bytes = lambda payload: payload if isinstance(payload, bytes) else payload.encode()  # noqa: E731
        socket.on("framesent", lambda payload: self.sent.append(as_bytes(payload)))
        socket.on("framereceived", lambda payload: self.received.append(as_bytes(payload)))

    def _on_console(self, message) -> None:
        if message.type == "error" and not any(word in message.text for word in HARMLESS):
            self._console.append(f"console: {message.text}")


@contextlib.contextmanager
def jupyterlab(folder: Path, chromium: str, args: Sequence[str] = ()) -> Iterator[Lab]:
    """JupyterLab on a copy of `folder`, and the browser at `chromium`; both stop at the end."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory(prefix="bnlib-lab-", ignore_cleanup_errors=True) as temporary:
        work = Path(temporary)
        shutil.copytree(folder, work / "notebooks", ignore=shutil.ignore_patterns(".*"))
        for plugin, values in SETTINGS.items():
            file = work / "settings/@jupyterlab" / f"{plugin}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        environment = os.environ | {
            "JUPYTER_CONFIG_DIR": str(work / "config"),
            "JUPYTER_DATA_DIR": str(work / "data"),
            "JUPYTER_RUNTIME_DIR": str(work / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(work / "settings"),
        }
        command = [
            sys.executable,
            "-m",
            "jupyterlab",
            "--no-browser",
            "--allow-root",
            "--ip=127.0.0.1",
            f"--port={port}",
            "--IdentityProvider.token=",
            "--LabApp.expose_app_in_browser=True",
            f"--ServerApp.root_dir={work / 'notebooks'}",
        ]
        with open(work / "server.log", "wb") as log:
            server = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=environment
            )
        try:
            _wait_for_server(server, url, work / "server.log")
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=[*QUIET, *args])
                yield Lab(url, browser)
                browser.close()
        finally:
            server.terminate()  # the server shuts its kernels down
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait_for_server(server: subprocess.Popen, url: str, log: Path, timeout: float = 60) -> None:
    end = time.monotonic() + timeout
    while True:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(f"{url}/api", timeout=2).close()
            return
        if server.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.2)
