"""From results files to the tables of benchmarks/README.md and its plots: no figure there is typed by hand."""

import re
from pathlib import Path

from scripts.benchmarking.plots import draw_report
from scripts.benchmarking.results import read_report
from scripts.benchmarking.tables import report_text

_SECTION = re.compile(r"(<!-- begin ([\w-]+) -->\n).*?(<!-- end \2 -->)", re.DOTALL)


def filled_page(page: str, folder: Path) -> str:
    """Fill every section between ``<!-- begin NAME -->`` and ``<!-- end NAME -->`` from ``results/NAME.json``.

    Args:
        page: Markdown.
        folder: Where ``results/`` and ``plots/`` are; the plots of a section are those that begin with its name.

    Returns:
        The page; a section whose results are not there says so.

    Raises:
        ValueError: when a results file is none, or has no section to stand in.
    """
    files = {file.stem: file for file in sorted((folder / "results").glob("*.json"))}
    sections = [found.group(2) for found in _SECTION.finditer(page)]
    if homeless := sorted(set(files) - set(sections)):
        raise ValueError(f"no section <!-- begin {homeless[0]} --> for {files[homeless[0]].name}")

    def fill(found: re.Match[str]) -> str:
        begin, name, end = found.groups()
        if name not in files:
            return f"{begin}\nNot measured on this code yet.\n\n{end}"
        plots = [f"![{plot.stem}](plots/{plot.name})" for plot in sorted((folder / "plots").glob(f"{name}-*.svg"))]
        return f"{begin}\n" + "\n\n".join([report_text(read_report(files[name])), *plots]) + f"\n\n{end}"

    return _SECTION.sub(fill, page)


def filled_section(page: str, name: str, text: str) -> str:
    """Fill one section between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``.

    Raises:
        ValueError: when the page has no such section.
    """
    if name not in [found.group(2) for found in _SECTION.finditer(page)]:
        raise ValueError(f"no section <!-- begin {name} --> … <!-- end {name} --> in the page")
    return _SECTION.sub(
        lambda found: f"{found[1]}\n{text}\n\n{found[3]}" if found[2] == name else found[0],
        page,
    )


def write_page(folder: Path) -> list[Path]:
    """Draw ``folder/plots/*.svg`` and fill ``folder/README.md`` from ``folder/results/*.json``.

    Returns:
        The files written.

    Raises:
        MissingPackageError: when matplotlib is not installed.
        ValueError: see ``filled_page``.
        OSError: when a file cannot be read or written.
    """
    page = folder / "README.md"
    text = page.read_text(encoding="utf-8")
    files = sorted((folder / "results").glob("*.json"))
    plots = [plot for file in files for plot in draw_report(file, folder / "plots")]
    page.write_text(filled_page(text, folder), encoding="utf-8")
    return [*plots, page]
