"""How numbers are printed in the pages, whoever computed them."""

AWAITS = '†'  # after a number whose per-question data are not published
_DIFFERENCES = ('contrast', 'part', 'exchange', 'claim', 'verdict', 'revision', 'rule_minus',
                'equal_flops')
_DIGITS = {'scale': 1, 'samples': 1, 'flops': 2, 'seconds': 2}
_SAID = {True: '**held**', False: '**did not hold**', 'inconclusive': '**inconclusive**'}
_CENSORED = {'below': 'never reached', 'above': 'passed at once',
             'flat': 'the baseline does not rise'}


def number(kind, found):
  """The text of (value, interval, n), or of what a `verdict` found; None: not measured."""
  if found is None:
    return 'not measured'
  if kind == 'verdict':
    chance = '' if found['p'] is None else f', p {_p(found["p"])}'
    return (f'{_SAID[found["reproduced"]]}: {_measured(kind, found["effect"], found["ci95"])}, '
            f'n = {found["n"]:,}{chance}')
  value, interval, _ = found
  if value is None:
    return 'not measured'
  if isinstance(value, dict):
    return ', '.join(f'{_CENSORED.get(x, "measured")} in {n}' for x, n in value.items()) + ' cells'
  if isinstance(value, list):
    return ', '.join(_CENSORED.get(x) or f'{x:.2f}' for x in value)
  return _CENSORED.get(value) or _measured(kind, value, interval)


def censored(values):
  """How many cells of several seeds say what, where some have no number; None where all have."""
  said = [x if isinstance(x, str) else 'measured' for x in values]
  if set(said) == {'measured'}:
    return None
  return {x: said.count(x) for x in (*_CENSORED, 'measured') if x in said}


def _p(p):
  return f'= {p:.3f}' if p >= 0.001 else '< 0.001'


def _measured(kind, value, interval):
  if isinstance(value, int):
    return f'{value:,}'
  sign, digits = '', 2 if kind.endswith('efficiency') else _DIGITS.get(kind, 3)
  if kind in _DIFFERENCES:
    sign, digits = '+', 4 if abs(value) < 0.01 else 3
  text = f'{value:{sign}z.{digits}f}'
  if interval is None:
    return text
  ends = ('' if end is None else f'{end:z.{digits}f}' for end in interval)  # '': censored
  return f'{text} [{", ".join(ends)}]'

