"""Self-contained HTML: nothing is loaded, nothing is run, every text is escaped."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

_STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #faf9f7; color: #222;
  font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', sans-serif; }
main { max-width: 1060px; margin: 0 auto; padding: 1.5em 1.5em 4em; }
h1 { font-size: 1.5em; margin: .3em 0 .5em; } h2 { font-size: 1.15em; margin: 2em 0 .4em; }
a { color: #0b5c9e; }
table { border-collapse: collapse; margin: .6em 0; font-size: 14px; background: #fff; }
th, td { padding: .28em .8em; border-bottom: 1px solid #e4e2dd; text-align: right;
  font-variant-numeric: tabular-nums; }
th { color: #555; font-weight: 600; border-bottom: 2px solid #cfccc5; }
th:first-child, td:first-child { text-align: left; }
tr.bad td { background: #fdecdc; font-weight: 600; }
.wide { overflow-x: auto; }
"""
# Model output is on the page: even unescaped it could load and run nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def document(title: str, body: str, style: str = '') -> str:
  """A whole page. `title` is text, `body` is HTML, `style` is CSS."""
  return ('<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
          f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
          '<meta name="viewport" content="width=device-width">\n'
          f'<title>{html.escape(title)}</title>\n<style>{_STYLE}{style}</style></head>\n'
          f'<body><main>\n{body}\n</main></body></html>\n')


def table(header: Sequence[str], rows: Sequence[Sequence[Any]],
          bad: Sequence[bool] = ()) -> str:
  """A table of texts and numbers, escaped. `bad` marks rows that a reader must not miss."""
  head = ''.join(f'<th>{html.escape(h)}</th>' for h in header)
  body = []
  for i, row in enumerate(rows):
    cells = ''.join(f'<td>{html.escape(str(c))}</td>' for c in row)
    body.append(f'<tr{" class=bad" if i < len(bad) and bad[i] else ""}>{cells}</tr>')
  return (f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
          f'<tbody>{"".join(body)}</tbody></table></div>')
