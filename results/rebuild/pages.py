"""The pages that numbers stand in, as templates under `results/pages` have them."""

import json
import pathlib
import re

from . import numbers

RESULTS = pathlib.Path(__file__).parents[1]
ROOT = RESULTS.parent
# Page -> its template; of README the part between the marks alone.
PAGES = {'README.md': 'readme.md', 'docs/results.md': 'results.md'}
BEGIN, END = '<!-- written by python -m benchmarks.pages -->\n', '<!-- end -->\n'
_BEGUN = re.compile(r'<!-- written by .*-->\n')
FIELD = re.compile(r'\{\{(.+?)\}\}')
_SECTION = re.compile(r'\{\{(\S+) section (\S+)\}\}\n')  # a study, and a file beside this template
_TYPED = re.compile(r'(?<![\w.])[+-]?\d*\.\d{3,}')  # a result that no field has made


def template(page):
  """A page's template, its sections and tables of claims and of openings spelt out."""
  read = lambda name: (RESULTS / 'pages' / name).read_text('utf-8')
  # A section about a study that is not published is left out.
  written = _SECTION.sub(
      lambda m: read(m[2]) if (RESULTS / m[1] / 'results.json').exists() else '',
      read(PAGES[page])).replace('{{openings}}', _openings())
  return re.sub(r'\{\{(\S+) claims(.*?)\}\}', lambda m: _claims([m[1], *m[2].split()]), written)


def _openings():
  """A row per opening of `test`, in order."""
  names = ('date', 'commit', 'study', 'benchmark seed', 'questions',
           'held / did not hold / inconclusive', 'remarks')
  lines = [f'| {" | ".join(names)} |', '|---' * len(names) + '|']
  for row in json.loads((RESULTS / 'openings.json').read_text('utf-8')):
    verdicts = row['verdicts']
    said = 'no claims' if verdicts is None else ' / '.join(map(str, verdicts.values()))
    lines.append(f'| {row["date"]} | {row["commit"]} | {row["study"]}'
                 f'{"" if row["published"] else ", replaced since"} | {row["benchmark_seed"]} | '
                 f'{row["questions"]:,} | {said} | {row["remark"]} |')
  return '\n'.join(lines)


def _claims(studies):
  """A row per claim that any of some studies has measured: its words, and a field per study."""
  found = [{row['id']: row for row in json.loads(
      (RESULTS / where / 'results.json').read_text('utf-8'))['claims']} for where in studies]
  last = [where.split('/')[-1] for where in studies]
  names = ' | '.join(f'`{name if last.count(name) == 1 else where}`'
                     for name, where in zip(last, studies))
  lines = [f'| the paper says | {names} |', '|---' * (1 + len(studies)) + '|']
  for id_, row in found[0].items():
    if any(id_ in rows and rows[id_]['effect'] is not None for rows in found):
      said = (f'{{{{{where} verdict {id_}}}}}' if id_ in rows else 'not claimed'
              for where, rows in zip(studies, found))
      lines.append(f'| {row["claim"]} | {" | ".join(said)} |')
  return '\n'.join(lines)


def awaits(field):
  """Whether a field's number has no per-question data behind it."""
  where, kind, *names = field.split()
  return where != 'given' and not numbers.rebuilt(RESULTS / where, kind, names)


def typed(written):
  """(line, what) of results in a template that no field has made."""
  return [(i, match) for i, line in enumerate(written.splitlines(), 1)
          for match in _TYPED.findall(FIELD.sub('', line))]


def parted(page, whole):
  """What stands before, in and after the part that is written here.

  Raises:
    ValueError: README lacks a mark.
  """
  if page != 'README.md':
    return '', whole, ''
  begun = _BEGUN.search(whole)
  if begun is None or END not in whole[begun.end():]:
    raise ValueError(f'README.md lacks {BEGIN.strip()} or {END.strip()}')
  middle, after = whole[begun.end():].split(END, 1)
  return whole[:begun.start()] + BEGIN, middle, END + after
