"""Links of README and docs lead to files and headings that there are."""

import pytest

from tests.pages import pages


def broken(page, text, there):
  """Links of a page that lead nowhere. there: text of a file, None where it is none."""
  found = []
  for target in pages.links(text):
    if target.startswith(('https://', 'http://')):
      continue
    path, _, anchor = target.partition('#')
    file = (page.parent / path).resolve() if path else page
    whole = text if file == page else there(file)
    if whole is None or anchor and anchor not in pages.anchors(whole):
      found.append(target)
  return found


def read(file):
  if not file.is_relative_to(pages.ROOT) or not file.exists():
    return None
  return file.read_text('utf-8') if file.suffix == '.md' else ''


@pytest.mark.parametrize('page', pages.PAGES, ids=pages.name)
def test_links_resolve(page):
  assert broken(page, page.read_text('utf-8'), read) == []


def test_a_broken_link_is_found():
  page = pages.ROOT / 'docs' / 'faq.md'
  text = ('# One, two\n[a](methods.md) [b](none.md) [c](#one-two) [d](#three) `[e](f)`\n'
          '![f](methods.md#nowhere) [g](../../elsewhere.md) [h](https://example.org/x)\n')
  assert broken(page, text, read) == ['none.md', '#three', 'methods.md#nowhere',
                                      '../../elsewhere.md']


def test_every_page_is_reached_from_the_readme():
  seen, front = set(), [pages.ROOT / 'README.md']
  while front:
    page = front.pop()
    if page not in seen and page in pages.PAGES:
      seen.add(page)
      front += [(page.parent / target.partition('#')[0]).resolve()
                for target in pages.links(page.read_text('utf-8'))]
  assert seen == set(pages.PAGES)


@pytest.mark.parametrize('page', pages.PAGES, ids=pages.name)
def test_files_that_a_page_names_are_there(page):
  """Paths in code spans: `tts/...`, `configs/...`, `examples/...`."""
  tops = ('tts', 'launch', 'configs', 'examples', 'results', 'benchmarks', 'tests', 'docs')
  for span in pages.spans(page.read_text('utf-8')):
    path = span.rstrip('/')
    if path.split('/')[0] in tops and '/' in span and not set(path) & set(' *<>=:'):
      assert (pages.ROOT / path).exists(), f'{pages.name(page)}: {span}'
