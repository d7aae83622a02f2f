"""Self-contained HTML: nothing is loaded, nothing is run, every text is escaped."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --paper: #faf9f7; --card: #fff; --ink: #222; --soft: #5c5c5c;
  --line: #e4e2dd; --rule: #cfccc5; --link: #0b5c9e; --bad: #fdecdc; }
@media screen and (prefers-color-scheme: dark) { :root { --paper: #161618; --card: #1f1f22;
  --ink: #e8e6e3; --soft: #b0aca6; --line: #35343a; --rule: #55535a; --link: #8ab8ea;
  --bad: #4a3216; } }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', sans-serif; }
main { max-width: 1060px; margin: 0 auto; padding: 1.5em 1.5em 4em; overflow-wrap: break-word; }
h1 { font-size: 1.5em; margin: .3em 0 .5em; } h2 { font-size: 1.15em; margin: 2em 0 .4em; }
h3 { font-size: 1em; margin: 1.6em 0 .4em; }
a { color: var(--link); }
table { border-collapse: collapse; margin: .6em 0; font-size: 14px; background: var(--card); }
th, td { padding: .28em .8em; border-bottom: 1px solid var(--line); text-align: right;
  font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-weight: 600; border-bottom: 2px solid var(--rule); }
thead td { border-bottom: 2px solid var(--rule); }
th:first-child, td:first-child { text-align: left; }
tr.bad td { background: var(--bad); font-weight: 600; }
.wide { overflow-x: auto; }
@media (max-width: 600px) { main { padding: 1em .8em 3em; } }
@media print { body { background: none; font-size: 11px; } main { max-width: none; padding: 0; }
  table { font-size: 10px; } .wide { overflow: visible; } tr, figure { break-inside: avoid; } }
"""
# Model output is on the page: even unescaped it could load and run nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def document(title: str, body: str, style: str = '') -> str:
  """A whole page. `title` is text, `body` is HTML, `style` is CSS."""
  return ('<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
          f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
          '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
          f'<title>{html.escape(title)}</title>\n<style>{_STYLE}{style}</style></head>\n'
          f'<body><main>\n{body}\n</main></body></html>\n')


def table(header: Sequence[str], rows: Sequence[Sequence[Any]],
          bad: Sequence[bool] = (), label: str = 'A table') -> str:
  """A table of texts and numbers, escaped.

  Args:
    header: of the columns; '' where a column needs no name.
    rows: values by column.
    bad: rows that a reader must not miss.
    label: what it is, for those who do not see it.
  """
  head = ''.join(f'<th scope="col">{html.escape(h)}</th>' if h else '<td></td>' for h in header)
  body = []
  for i, row in enumerate(rows):
    cells = ''.join(f'<td>{html.escape(str(c))}</td>' for c in row)
    body.append(f'<tr{" class=bad" if i < len(bad) and bad[i] else ""}>{cells}</tr>')
  # Where a page is narrow it scrolls, which has to be possible without a mouse.
  return (f'<div class="wide" role="group" tabindex="0" aria-label="{html.escape(label)}">'
          f'<table><thead><tr>{head}</tr></thead>'
          f'<tbody>{"".join(body)}</tbody></table></div>')
