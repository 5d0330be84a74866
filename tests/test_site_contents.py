"""The site's table of contents; the built site itself is tested in tests/site."""

import re


def test_the_site_has_every_notebook_in_order_and_the_guide(root):
    contents = (root / "notebooks/_toc.yml").read_text("utf-8")
    notebooks = sorted(path.stem for path in (root / "notebooks").glob("*.ipynb"))
    assert re.findall(r"(?:root|file): (\S+)", contents) == [*notebooks, "teaching_guide"]
