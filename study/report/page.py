"""The report as one HTML page that loads nothing from the network, and as Markdown."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from .cells import Cell, Table

STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")


def document(title: str, lead: str, sections: Sequence[tuple[str, str]]) -> str:
    """Write the page: a title, an introduction (HTML), and sections of a heading and HTML."""
    marks = [f"part-{i}" for i in range(len(sections))]
    links = " ".join(f'<a href="#{m}">{escape(name)}</a>' for m, (name, _) in zip(marks, sections, strict=True))
    body = "\n".join(
        f'<section id="{m}"><h2>{escape(name)}</h2>\n{inner}</section>'
        for m, (name, inner) in zip(marks, sections, strict=True)
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n<nav>{links}</nav>\n{lead}\n{body}\n</body></html>\n"
    )


def table_html(table: Table) -> str:
    """Write a table that scrolls within its box, with fixed headings and first column."""
    head = "".join(f"<th>{escape(h)}</th>" for h in table.head)
    lines = "\n".join(f"<tr>{''.join(_td(c) for c in row)}</tr>" for row in table.rows)
    return (
        f'<h3>{escape(table.title)}</h3>\n<p class="about">{escape(table.about)}</p>\n'
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>{lines}</tbody></table></div>\n'
    )


def _td(cell: Cell) -> str:
    text = escape(cell.text)
    text = f"<b>{text}</b>" if cell.best else f"≈ {text}" if cell.uncertain else text
    note = f"<small>{escape(cell.note)}</small>" if cell.note else ""
    kind = ' class="uncertain"' if cell.uncertain else ' class="words"' if len(cell.text) > 40 else ""
    return f"<td{kind}>{text}{note}</td>"


def table_markdown(table: Table) -> str:
    """Write the same table as Markdown."""
    head = f"| {' | '.join(_plain(h) for h in table.head)} |\n{'|---' * len(table.head)}|\n"
    lines = "".join(f"| {' | '.join(_md(c) for c in row)} |\n" for row in table.rows)
    return f"### {table.title}\n\n{table.about}\n\n{head}{lines}"


def _md(cell: Cell) -> str:
    text = _plain(cell.text)
    text = f"**{text}**" if cell.best else f"≈ {text}" if cell.uncertain else text
    return f"{text} {cell.note}".strip()


def _plain(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")


def prose(markdown: str) -> str:
    """Convert hand-written Markdown to HTML; raw HTML in it is shown as text."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).disable("image").enable("table").render(markdown)


def sound(path: Path, label: str) -> str:
    """Embed a sound file."""
    kind = {".mp3": "mpeg", ".ogg": "ogg", ".flac": "flac"}[path.suffix]
    data = base64.b64encode(path.read_bytes()).decode()
    return (
        f"<figure><figcaption>{escape(label)}</figcaption>"
        f'<audio controls preload="none" src="data:audio/{kind};base64,{data}"></audio></figure>'
    )
