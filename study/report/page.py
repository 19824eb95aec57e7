"""The report as one HTML page that asks the network for nothing, and as Markdown."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from .tables import Cell, Table

STYLE = (
    """
:root { color-scheme: light dark; --ink: #1d2329; --soft: #5b6570; --paper: #fdfdfb; --panel: #f3f3ef; --rule: #dcdcd6;
  --accent: #22577a; --s0: #22577a; --s1: #c05621; --s2: #4f7942; --s3: #8a4f7d; --s4: #b08900; --s5: #3f7f7f;
  --s6: #9b2c2c; --s7: #5b6570; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e6e3; --soft: #9aa3aa; --paper: #15181b; --panel: #1e2327;
  --rule: #343b41; --accent: #86bbd8; --s0: #86bbd8; --s1: #f0945c; --s2: #9cc08c; --s3: #cf9fc4; --s4: #e0bf55;
  --s5: #7fc4c4; --s6: #f08d8d; --s7: #9aa3aa; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 2rem 1.2rem 5rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 Georgia, "Iowan Old Style", "Times New Roman", serif; }
h1, h2, h3, th, td, nav, .legend, svg text, figcaption, .about, summary { font-family: system-ui, -apple-system,
  "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.3rem; margin: 3rem 0 .6rem; padding-top: .8rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.8rem 0 .3rem; }
p, li { max-width: 42rem; }
nav a { display: inline-block; margin-right: .9rem; }
a { color: var(--accent); }
.about { color: var(--soft); font-size: .82rem; margin: .1rem 0 .6rem; }
.scroll { overflow: auto; max-height: 85vh; border: 1px solid var(--rule); border-radius: 4px; }
table { border-collapse: separate; border-spacing: 0; font-size: .82rem; width: 100%;
  font-variant-numeric: tabular-nums; }
th { position: sticky; top: 0; background: var(--panel); text-align: right; font-weight: 600; padding: .45rem .6rem;
  border-bottom: 1px solid var(--rule); vertical-align: bottom; z-index: 1; }
td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--rule); vertical-align: top; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--panel); }
th:first-child { z-index: 2; }
td.words { text-align: left; min-width: 16rem; }
tr:last-child td { border-bottom: 0; }
td small { display: block; color: var(--soft); white-space: nowrap; }
td b { color: var(--accent); }
td.unsure { color: var(--soft); }
svg { display: block; width: 100%; height: auto; max-width: 46rem; margin: .6rem 0; }
svg text { font-size: 12px; fill: var(--soft); }
svg text.strong { fill: var(--ink); font-weight: 600; }
.grid { stroke: var(--rule); fill: none; } .zero { stroke: var(--soft); fill: none; }
.bar { stroke: var(--s0); stroke-width: 2; fill: none; }
.dot { fill: var(--s0); stroke: var(--s0); stroke-width: 1.5; } .hollow { fill: var(--paper); }
.line { fill: none; stroke-width: 2; }
"""
    + "".join(
        f".line.s{i} {{ stroke: var(--s{i}); }} .mark.s{i} {{ fill: var(--s{i}); }}\n"
        f".legend .s{i} {{ color: var(--s{i}); }}\n"
        for i in range(8)
    )
    + """
.legend { font-size: .82rem; color: var(--soft); } .legend span { margin-right: .9rem; font-weight: 600; }
.sounds { display: grid; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); gap: .8rem; }
figure { margin: 0; } figcaption { font-size: .82rem; margin-bottom: .2rem; } audio { width: 100%; }
code { font-size: .88em; background: var(--panel); padding: .05em .3em; border-radius: 3px; overflow-wrap: anywhere; }
pre { overflow: auto; background: var(--panel); padding: .8rem; }
@media (max-width: 40rem) { body { padding: 1rem .7rem 3rem; } table { font-size: .75rem; }
  svg text { font-size: 15px; } }
"""
)


def document(title: str, lead: str, sections: Sequence[tuple[str, str]]) -> str:
    """Write the page: a title, what opens it (HTML), and sections of a heading and HTML."""
    marks = [f"part-{i}" for i in range(len(sections))]
    links = " ".join(f'<a href="#{m}">{escape(name)}</a>' for m, (name, _) in zip(marks, sections, strict=True))
    body = "\n".join(
        f'<section id="{m}"><h2>{escape(name)}</h2>\n{inner}</section>'
        for m, (name, inner) in zip(marks, sections, strict=True)
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n<nav>{links}</nav>\n{lead}\n{body}\n</body></html>\n"
    )


def table_html(table: Table) -> str:
    """Write a table that scrolls inside itself, its headings and first column staying."""
    head = "".join(f"<th>{escape(h)}</th>" for h in table.head)
    lines = "\n".join(f"<tr>{''.join(_td(c) for c in row)}</tr>" for row in table.rows)
    return (
        f'<h3>{escape(table.title)}</h3>\n<p class="about">{escape(table.about)}</p>\n'
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>{lines}</tbody></table></div>\n'
    )


def _td(cell: Cell) -> str:
    text = escape(cell.text)
    text = f"<b>{text}</b>" if cell.best else f"≈ {text}" if cell.unsure else text
    note = f"<small>{escape(cell.note)}</small>" if cell.note else ""
    kind = ' class="unsure"' if cell.unsure else ' class="words"' if len(cell.text) > 40 else ""
    return f"<td{kind}>{text}{note}</td>"


def table_markdown(table: Table) -> str:
    """Write the same table as Markdown."""
    head = f"| {' | '.join(_plain(h) for h in table.head)} |\n{'|---' * len(table.head)}|\n"
    lines = "".join(f"| {' | '.join(_md(c) for c in row)} |\n" for row in table.rows)
    return f"### {table.title}\n\n{table.about}\n\n{head}{lines}"


def _md(cell: Cell) -> str:
    text = _plain(cell.text)
    text = f"**{text}**" if cell.best else f"≈ {text}" if cell.unsure else text
    return f"{text} {cell.note}".strip()


def _plain(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")


def prose(markdown: str) -> str:
    """Turn hand-written Markdown into HTML; raw HTML in it is shown as text."""
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
