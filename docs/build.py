"""README and these pages as a static site: one folder of HTML and pictures, without scripts.

  pip install -e ".[docs]"
  python docs/build.py FOLDER

README is `index.html`. What a page links to in the repository and is no page is copied beside it.
"""

from __future__ import annotations

import pathlib
import re
import shutil
import sys

import markdown

ROOT = pathlib.Path(__file__).resolve().parents[1]
STYLE = '''
:root { color-scheme: light dark; --text: #1c1e21; --back: #ffffff; --soft: #f3f4f6;
  --line: #d0d4da; --link: #0b57a4; }
@media (prefers-color-scheme: dark) { :root { --text: #e3e6ea; --back: #15181c; --soft: #20242a;
  --line: #3b424c; --link: #82b7f0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 54rem; color: var(--text);
  background: var(--back); font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; padding-bottom: 0.6rem;
  border-bottom: 1px solid var(--line); }
a { color: var(--link); }
nav [aria-current] { color: var(--text); font-weight: bold; text-decoration: none; }
h1, h2, h3 { line-height: 1.25; }
pre, table { display: block; max-width: 100%; overflow-x: auto; }
pre { padding: 0.7rem; background: var(--soft); font-size: 0.85rem; overflow-wrap: normal; }
code { background: var(--soft); font-size: 0.9em; }
table { border-collapse: collapse; font-size: 0.9rem; overflow-wrap: normal; }
td, th { padding: 0.25rem 0.6rem; border: 1px solid var(--line); text-align: left;
  vertical-align: top; }
img { max-width: 100%; background: #ffffff; }
@media print { nav { display: none; } }
'''
_LINK = re.compile(r'(<(?:a href|img [^>]*?src)=")([^"#]+)?((?:#[^"]*)?")')


def slug(heading: str, separator: str = '-') -> str:
  """A heading's name as GitHub gives it, so that links hold here and there."""
  return re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', separator)


def pages() -> dict[pathlib.Path, str]:
  """Each page and its file in the site."""
  return {ROOT / 'README.md': 'index.html'} | {
      page: f'{page.stem}.html' for page in sorted((ROOT / 'docs').glob('*.md'))}


def build(folder: pathlib.Path) -> None:
  """Writes the site.

  Raises:
    FileExistsError: there is something in the folder.
    FileNotFoundError: a page links to what is not there.
  """
  folder.mkdir(parents=True, exist_ok=True)
  if any(folder.iterdir()):
    raise FileExistsError(f'{folder} is not empty: give a new folder')
  (folder / 'style.css').write_text(STYLE.lstrip(), 'utf-8')
  for page in pages():
    (folder / pages()[page]).write_text(_html(page, folder), 'utf-8')


def _html(page: pathlib.Path, folder: pathlib.Path) -> str:
  text = page.read_text('utf-8')
  # GitHub begins a list or a fence right behind a paragraph; the library wants a blank line.
  text = re.sub(r'(?m)^(?![-|>#\s]|\d+\. )(.+)\n(?=(?:- |1\. |```\w))', r'\1\n\n', text)
  body = markdown.markdown(text, extensions=['tables', 'fenced_code', 'toc', 'sane_lists'],
                           extension_configs={'toc': {'slugify': slug}})
  body = _LINK.sub(lambda m: m[1] + (_target(m[2], page, folder) if m[2] else '') + m[3], body)
  # What scrolls is to be reached by keys too.
  body = re.sub(r'<(pre|table)>', r'<\1 tabindex="0">', body)
  title = re.search(r'^# (.+)$', text, re.MULTILINE)[1]
  menu = '\n'.join(f'<a href="{file}"{" aria-current=page" if other == page else ""}>'
                   f'{"tts" if file == "index.html" else other.stem}</a>'
                   for other, file in pages().items())
  return (f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
          '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
          f'<title>{title}</title>\n<link rel="stylesheet" href="style.css">\n</head>\n<body>\n'
          f'<nav>\n{menu}\n</nav>\n<main>\n{body}\n</main>\n</body>\n</html>\n')


def _target(link: str, page: pathlib.Path, folder: pathlib.Path) -> str:
  """Where a link leads in the site; a file of the repository is copied there."""
  if '://' in link:
    return link
  file = (page.parent / link).resolve()
  if file in pages():
    return pages()[file]
  place = file.relative_to(ROOT).as_posix()
  (folder / place).parent.mkdir(parents=True, exist_ok=True)
  shutil.copyfile(file, folder / place)
  return place


if __name__ == '__main__':
  if len(sys.argv) != 2:
    sys.exit(__doc__)
  build(pathlib.Path(sys.argv[1]))
