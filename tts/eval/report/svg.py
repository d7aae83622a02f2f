"""A drawing as an SVG element inside a page: text stays text, a point says its values.

Nothing in it is loaded or run: what a point says is a `title`, which browsers show themselves while
a pointer rests on it.
"""

from __future__ import annotations

import hashlib
import html
import io
import math
import re
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

Tip = tuple[Any, float, float, str]  # axes, x and y in their data, what the value there says

_SVG, _LINK = '{http://www.w3.org/2000/svg}', '{http://www.w3.org/1999/xlink}href'
_REACH = 6.0  # 1/72 inch, of a pointer around a value; nearer ones are said together
_FONT = re.compile(r'font-family:[^;]*(;|$)')  # the page's own
_REFERENCE = re.compile(r'url\(#(\w+)\)')  # of a clip or a pattern
# For Chromium, Firefox and WebKit alike; matplotlib would say it of every element of the page.
STYLE = """
svg.chart { display: block; width: 100%; height: auto; }
.chart * { stroke-linejoin: round; stroke-linecap: butt; }
.chart text { font-family: system-ui, -apple-system, 'Segoe UI', sans-serif; }
.chart .tip { fill: transparent; stroke: none; pointer-events: all; }
.chart .tip:hover { stroke: #000; stroke-width: 1.2; }
@media screen and (prefers-color-scheme: dark) {
  .chart { filter: invert(1) hue-rotate(180deg) brightness(1.3); } }
"""


def element(figure: Any, tips: Sequence[Tip]) -> str:
  """An `svg` element of a matplotlib figure; `labelled` gives it a name."""
  import matplotlib
  buffer = io.StringIO()
  # Names by hashes with salt are the same in every process, so that a page is too.
  with matplotlib.rc_context({'svg.fonttype': 'none', 'svg.hashsalt': 'tts'}):
    figure.savefig(buffer, format='svg', transparent=True,
                   metadata=dict.fromkeys(('Date', 'Creator', 'Format', 'Type')))
  text = buffer.getvalue()
  root = ElementTree.fromstring(text)
  _plain(root, hashlib.sha256(text.encode()).hexdigest()[:8])
  for x, y, texts in _grouped(figure, tips):
    spot = ElementTree.SubElement(root, 'circle', {
        'class': 'tip', 'cx': f'{x:.1f}', 'cy': f'{y:.1f}', 'r': f'{_REACH:g}'})
    ElementTree.SubElement(spot, 'title').text = '\n'.join(texts)
  return ElementTree.tostring(root, encoding='unicode', short_empty_elements=False)


def labelled(drawing: str, label: str) -> str:
  """The element with a name for those who do not see it."""
  return drawing.replace('<svg ', f'<svg role="img" aria-label="{html.escape(label)}" ', 1)


def _plain(root: ElementTree.Element, salt: str) -> None:
  """Names without namespaces, as a page has them, and ids that no other figure has."""
  used = {name for e in root.iter() for key, value in e.items()
          for name in ([value[1:]] if key == _LINK else _REFERENCE.findall(value))}
  for e in root.iter():
    e.tag = e.tag.removeprefix(_SVG)
    e.text = e.text if e.tag in ('text', 'tspan') else None
    e.tail = None
    for child in [c for c in e if c.tag in (f'{_SVG}style', f'{_SVG}metadata')]:
      e.remove(child)
    if (name := e.attrib.pop('id', None)) in used:
      e.set('id', f'{salt}{name}')
    if (link := e.attrib.pop(_LINK, None)) is not None:
      e.set('href', f'#{salt}{link[1:]}')
    for key in ('clip-path', 'style'):
      if key in e.attrib:
        e.set(key, _REFERENCE.sub(lambda m: f'url(#{salt}{m[1]})', e.get(key)))
    if 'd' in e.attrib:
      e.set('d', ' '.join(e.get('d').split()))
    if e.tag == 'text':
      e.set('style', _FONT.sub('', e.get('style', '')))
  for name in ('width', 'height', 'version'):
    root.attrib.pop(name, None)
  root.set('class', 'chart')


def _grouped(figure: Any, tips: Sequence[Tip]) -> list[tuple[float, float, list[str]]]:
  """(x, y, texts) in the picture's units; values under one pointer say theirs together."""
  height, scale = 72 * figure.get_figheight(), 72 / figure.dpi
  out: list[tuple[float, float, list[str]]] = []
  for ax, *at, text in tips:
    x, y = (float(v) * scale for v in ax.transData.transform(at))
    if not (math.isfinite(x) and math.isfinite(y)):
      continue
    y = height - y
    near = next((texts for a, b, texts in out if math.hypot(a - x, b - y) < _REACH), None)
    if near is None:
      out.append((x, y, [text]))
    elif text not in near:
      near.append(text)
  return out
