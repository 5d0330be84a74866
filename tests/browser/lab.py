"""A real JupyterLab in a real browser, for tests.

    with jupyterlab([folder], root / "share/jupyter/lab", chromium_path, chromium_args) as lab:
        with lab.open("00_start_here.ipynb") as notebook:
            notebook.run_all()
            notebook.page.keyboard.press("ArrowRight")

`serve` and `browse` are its two halves, for another server than this environment's JupyterLab.
The server works on a copy of the folders, with its own settings and without the user's, but with
those that bnlib installs (`overrides.d`). Errors of the browser's console, failed cells and widgets
that did not render: `notebook.problems()`.
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
import threading
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
QUIET = ["--no-first-run", "--disable-background-networking", "--disable-component-update"]
QUIET += ["--disable-sync", "--disable-quic"]
# Messages about the network, or about a kernel that was shut down while JupyterLab asked it
# something: not about our code.
HARMLESS = ("favicon", "ERR_", "Failed to fetch", "WebSocket connection", "debugger state")
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
# A new cell at the end, and what it printed or shows as text. As nothing is clicked, no menu or
# scroll position matters.
RUN = """async source => {
  const app = window.jupyterapp, notebook = app.shell.currentWidget.content;
  notebook.activeCellIndex = notebook.widgets.length - 1;
  await app.commands.execute('notebook:insert-cell-below');
  const cell = notebook.activeCell;
  cell.model.sharedModel.setSource(source);
  await app.commands.execute('notebook:run-cell');
  return cell.model.outputs.toJSON().map(
    out => out.text ?? out.data?.['text/plain'] ?? out.ename + ': ' + out.evalue).join(''); }"""
FOLDED = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .filter(cell => cell.model.type === 'code' && cell.model.outputs.length && cell.outputHidden)
  .length"""


class Lab:
    """A running server and a browser; `open` gives a notebook in a fresh window.

    address : where a notebook is to be seen, with {} for its name.
    """

    def __init__(self, url: str, browser, wire: Wire, address: str) -> None:
        self.url, self.browser, self.wire, self.address = url, browser, wire, address

    @contextlib.contextmanager
    def open(self, name: str, width: int = 1400, height: int = 1000) -> Iterator[Notebook]:
        page = self.browser.new_page(viewport={"width": width, "height": height})
        notebook = Notebook(page, f"{self.url}/{self.address.format(name)}")
        try:
            notebook.load()
            yield notebook
        finally:
            page.close()


class Notebook:
    """An open notebook: the Playwright page, the messages on its websocket, its problems."""

    def __init__(self, page, url: str) -> None:
        self.page, self.url = page, url
        self.sent: list[bytes | str] = []
        self.received: list[bytes | str] = []
        self._console: list[str] = []
        page.on("websocket", self._listen)
        page.on("pageerror", lambda error: self._console.append(f"page error: {error}"))
        page.on("console", self._on_console)

    def load(self) -> None:
        """Go to the notebook's page (again), and wait for its kernel."""
        self.page.goto(self.url)
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
        self.wait("kernel idle", lambda: self.state()["kernel"] == "idle", 90)
        self.page.evaluate(
            "() => { const s = window.jupyterapp.shell; s.collapseLeft(); s.collapseRight(); }"
        )

    def run_all(self, timeout: float = 120) -> None:
        """Run every cell and wait for the last one."""
        done = self.page.evaluate(RUN_ALL, 1000 * timeout)
        if not done:
            raise TimeoutError(f"not run in {timeout} s: {self.state()}, {self.problems()}")
        self.wait("a kernel at rest", lambda: self.state() == {"kernel": "idle", "pending": 0})

    def run(self, source: str) -> str:
        """Run `source` in a new cell at the end; what it printed or shows."""
        return self.page.evaluate(RUN, source)

    def shut_down_kernel(self) -> None:
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        self.wait("kernel gone", lambda: self.state()["kernel"] in (None, "dead", "unknown"), 30)

    def save(self) -> None:
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")

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
            self.page.wait_for_timeout(50)  # the page's events are handled meanwhile

    def problems(self) -> list[str]:
        """Failed cells, stderr, widgets that did not render, errors of the browser's console."""
        return self._console + self.page.evaluate(CELL_PROBLEMS)

    def folded_outputs(self) -> int:
        """How many cells hide the output that they have."""
        return self.page.evaluate(FOLDED)

    def _listen(self, socket) -> None:
        if "/channels" not in socket.url:
            return
        socket.on("framesent", lambda payload: self.sent.append(payload))
        socket.on("framereceived", lambda payload: self.received.append(payload))

    def _on_console(self, message) -> None:
        if message.type == "error" and not any(word in message.text for word in HARMLESS):
            self._console.append(f"console: {message.text}")


@contextlib.contextmanager
def jupyterlab(
    folders: Sequence[Path], installed: Path, chromium: str, args: Sequence[str] = ()
) -> Iterator[Lab]:
    """JupyterLab on a copy of `folders`, and the browser at `chromium`; both stop at the end.

    installed : the folder that bnlib adds to share/jupyter/lab.
    """
    with tempfile.TemporaryDirectory(prefix="bnlib-lab-") as temporary:
        settings = shutil.copytree(installed / "settings", Path(temporary) / "settings")
        command = [sys.executable, "-m", "jupyterlab", f"--LabApp.app_settings_dir={settings}"]
        with serve(folders, command) as port, browse(port, chromium, args) as lab:
            yield lab


@contextlib.contextmanager
def serve(
    folders: Sequence[Path], command: Sequence[str | Path], **variables: str
) -> Iterator[int]:
    """A Jupyter server on a copy of `folders`, with none of the user's settings; its port.

    command : what starts it.  variables : added to its environment.
    Raises RuntimeError, with the end of the server's log, if it does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="bnlib-lab-", ignore_cleanup_errors=True) as temporary:
        work = Path(temporary)
        for folder in folders:
            shutil.copytree(
                folder, work / "notebooks", ignore=shutil.ignore_patterns(".*"), dirs_exist_ok=True
            )
        for plugin, values in SETTINGS.items():
            file = work / "settings/@jupyterlab" / f"{plugin}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        environment = os.environ | {
            "JUPYTER_CONFIG_DIR": str(work / "config"),
            "JUPYTER_DATA_DIR": str(work / "data"),
            "JUPYTER_RUNTIME_DIR": str(work / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(work / "settings"),
            **variables,
        }
        options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
        options += ["--IdentityProvider.token=", "--expose-app-in-browser"]
        options += [f"--ServerApp.root_dir={work / 'notebooks'}"]
        with open(work / "server.log", "wb") as log:
            server = subprocess.Popen(
                [*command, *options], stdout=log, stderr=subprocess.STDOUT, env=environment
            )
        try:
            _wait_for_server(server, f"http://127.0.0.1:{port}", work / "server.log")
            yield port
        finally:
            server.terminate()  # the server shuts its kernels down
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


@contextlib.contextmanager
def browse(
    port: int, chromium: str, args: Sequence[str] = (), address: str = "lab/tree/{}?reset"
) -> Iterator[Lab]:
    """The browser at `chromium`, for the server at `port`; see Lab for `address`."""
    from playwright.sync_api import sync_playwright

    with Wire(port) as wire, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*QUIET, *args])
        yield Lab(f"http://127.0.0.1:{wire.port}", browser, wire, address)
        browser.close()


class Wire:
    """A port that passes everything on to another one, `target`, each way `delay` seconds later.

    That may become another server's port: for the browser it is still the same site.
    """

    def __init__(self, target: int) -> None:
        self.target, self.delay = target, 0.0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def __enter__(self) -> Wire:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self.listener.accept()[0]
                threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            near,
            socket.create_connection(("127.0.0.1", self.target)) as far,
        ):
            back = threading.Thread(target=self._pass_on, args=(far, near), daemon=True)
            back.start()
            self._pass_on(near, far)
            back.join()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                time.sleep(self.delay)
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


def _wait_for_server(server: subprocess.Popen, url: str, log: Path, timeout: float = 60) -> None:
    end = time.monotonic() + timeout
    while True:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(f"{url}/api", timeout=2).close()
            return
        if server.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"Jupyter did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.2)
