"""README's numbers are those of `results/`."""

import json

import pytest

from benchmarks import readme


def test_readme_has_the_committed_results():
  """Where this fails: python -m benchmarks.readme."""
  text = (readme.ROOT / 'README.md').read_text('utf-8')
  passage = (readme.ROOT / 'benchmarks' / 'readme_results.md').read_text('utf-8')
  assert passage.count('{{') > 30
  assert readme.rendered(text, passage) == text


def test_fields():
  where = 'arithmetic/arith'
  results = json.loads((readme.ROOT / 'results' / where / 'results.json').read_text('utf-8'))
  row, = (r for r in results['curves'] if r['strategy'] == 'beam' and r['budget'] == 16
          and r['bin'] is None)
  low, high = row['ci95']
  assert readme.number(f'{where} curve beam 16 4') == (
      f'{row["accuracy"]:.3f} [{low:.3f}, {high:.3f}]')
  assert readme.number(f'{where} n curve beam 16 4') == f'{row["n"]:,}'
  assert readme.number(f'{where} model base params') == f'{results["models"]["base"]["params"]:,}'
  assert readme.number(f'{where} contrast best_of_n_n16_minus_n1').startswith('+0.')
  claim = results['claims'][0]
  assert readme.number(f'{where} claim {claim["id"]}').startswith(f'{claim["effect"]:+.3f} [')
  table = readme.number(f'{where} claims').splitlines()
  assert len(table) == 2 + len(results['claims']) and claim['claim'] in table[2]
  assert len(readme.number(f'{where} claims {where}').splitlines()[2].split(' | ')) == 3
  with pytest.raises(ValueError, match='0 rows'):
    readme.number(f'{where} curve beam 17 4')


def test_a_readme_without_marks_is_an_error():
  with pytest.raises(ValueError, match='lacks'):
    readme.rendered('no marks', 'passage')
