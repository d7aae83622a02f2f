"""README is short, and it and docs are read with ease."""

import pytest

from tests.pages import pages

GRADE = 11  # years of school


@pytest.mark.parametrize('page', pages.PAGES, ids=pages.name)
def test_a_page_is_read_with_ease(page):
  sentences = pages.prose(page.read_text('utf-8'))
  assert len(sentences) > 10
  assert pages.grade(sentences) < GRADE


def test_the_readme_is_short():
  text = (pages.ROOT / 'README.md').read_text('utf-8')
  assert text.count('\n') <= 130 and len(text.split()) < 1200
  assert text.count('![') == 1
  tables = [part for part in text.split('\n\n') if part.lstrip().startswith('|')]
  assert [table.strip().count('\n') + 1 - 2 <= 8 for table in tables] == [True]


def test_the_grade_is_that_of_flesch_and_kincaid():
  # 0.39 * 6 / 1 + 11.8 * 6 / 6 - 15.59
  assert pages.grade(['The cat sat on the mat.']) == pytest.approx(-1.45)
  assert [pages.syllables(w) for w in (
      'the', 'compute', 'table', 'question', 'generation', 'takes')] == [1, 2, 2, 2, 4, 1]
  hard = ('Notwithstanding considerable methodological heterogeneity, practitioners increasingly '
          'operationalise computationally expensive verification procedures.')
  assert pages.grade([hard]) > 20


def test_code_tables_and_addresses_are_no_prose():
  text = ('# A heading\nOne `a.b(c)` sentence. See [this](x.md).\n\n'
          '| a | b |\n|---|---|\n| c | d |\n\n```bash\nrm all of it.\n```\n- An item\n- Another one.\n')
  assert pages.prose(text) == ['One sentence.', 'See this.', '- An item', '- Another one.']
