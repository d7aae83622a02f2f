"""Rebuilds every number of README's results and of docs/results.md; numpy alone is needed.

  python results/recompute.py

From the per-question data beside each `results.json`, by code of its own (`results/rebuild`).
Prints a line per difference: file, line, what is printed, what it should be; exits with 1 where
there is one.

Resamples are drawn from the published seed, so that intervals agree to the digit too. Where a numpy
draws other ones, their ends may differ by a fifth of the interval, more than four Monte Carlo
errors of percentiles from 200 replicates, the fewest that there are; all else stays exact.
"""

import functools
import re
import sys

from rebuild import crossing, intervals, numbers, pages, text

_ENDS = r'(?: \[[^\]]*\])?'
_SAID = r'(?:never reached|passed at once|the baseline does not rise|measured)'
_SHARE = rf'(?:[\d.]+|{_SAID})'
_CELLS = rf'{_SAID} in \d+(?:, {_SAID} in \d+)* cells'  # of several seeds
_PRINTED = (rf'(?:\*\*[\w ]+\*\*: )?[+-]?\d[\d,.]*(?<=\d){_ENDS}(?:, n = [\d,]+(?<=\d))?'
            rf'(?:, p [=<] [\d.]+(?<=\d))?|not measured|{_CELLS}'
            rf'|{_SHARE}(?:, {_SHARE}){{3}}|{_SHARE}')


@functools.cache
def _study(where):
  return crossing.load(pages.RESULTS / where)


class Fields:
  """What the fields of the pages should be."""

  def __init__(self):
    self.rebuilt, self.awaiting, self.measured = 0, 0, 0

  def expected(self, field):
    """A field's text; None where its data are not published, or nothing can rebuild it."""
    where, kind, *names = field.split()
    if where == 'given' or kind == 'cost':
      self.measured += 1
      return None
    if not numbers.rebuilt(pages.RESULTS / where, kind, names):
      self.awaiting += 1
      return None
    self.rebuilt += 1
    return text.number('', None) if (found := _study(where).of(kind, names)) is None else (
        text.number(kind, found))

  def exact(self, field):
    """Whether this numpy draws the resamples that a field's interval came from."""
    return intervals.same(_study(field.split()[0]).study.about.get('resampling'))


def _near(printed, expected):
  """Whether intervals, and p, differ by no more than other resamples explain; all else is equal."""
  (a, x), (b, y) = ((re.sub(r'\[.*?\]|p [=<] [\d.]+', '', s),
                     [float(end) for ends in re.findall(r'\[(.*?)\]', s)
                      for end in ends.split(', ') if end]) for s in (printed, expected))
  return a == b and len(x) == len(y) and all(
      abs(p - q) <= (max(y) - min(y)) / 5 for p, q in zip(x, y))


def _differences(line, printed, fields):
  """(printed, expected) of each field of a template's line that is not as it should be."""
  literals, named = (pages.FIELD.split(line)[i::2] for i in (0, 1))
  found = [(field, fields.expected(field)) for field in named]
  pattern = re.escape(literals[0])
  for field, literal in zip(named, literals[1:]):
    mark = text.AWAITS if pages.awaits(field) else ''
    pattern += rf'({".*?" if field.startswith("given ") else _PRINTED}){mark}{re.escape(literal)}'
  matched = re.fullmatch(pattern, printed)
  if matched is None:
    yield printed, pages.FIELD.sub('...', line)
    return
  for shown, (field, expected) in zip(matched.groups(), found):
    if expected is not None and shown != expected and (
        fields.exact(field) or not _near(shown, expected)):
      yield shown, f'{expected} ({field})'


def main():
  fields, wrong = Fields(), 0

  def report(page, line, printed, expected):
    nonlocal wrong
    wrong += 1
    print(f'{page}:{line}: printed {printed}, recomputed {expected}')

  for page in pages.PAGES:
    before, middle, _ = pages.parted(page, (pages.ROOT / page).read_text('utf-8'))
    start, written = before.count('\n') + 1, pages.template(page)
    for line, what in pages.typed(written):
      report(page, start + line, what, 'nothing: it is typed into the template')
    lines, printed = written.splitlines(), middle.splitlines()
    if len(lines) != len(printed):
      report(page, start, f'{len(printed)} lines', f'{len(lines)} lines')
    for i, (line, shown) in enumerate(zip(lines, printed)):
      for difference in _differences(line, shown, fields):
        report(page, start + i, *difference)
  print(f'{fields.rebuilt} numbers rebuilt, {wrong} differ; {fields.awaiting} await the next '
        f'studies ({text.AWAITS}: no per-question data); {fields.measured} measured times or from '
        'elsewhere')
  sys.exit(1 if wrong else 0)


if __name__ == '__main__':
  main()
