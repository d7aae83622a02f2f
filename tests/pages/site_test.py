"""README and docs as a site: no scripts, every link leads somewhere, dark mode."""

import html.parser
import importlib.util

import pytest

from tests.pages import pages

pytest.importorskip('markdown')


def built():
  spec = importlib.util.spec_from_file_location('build', pages.ROOT / 'docs' / 'build.py')
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


class Page(html.parser.HTMLParser):
  """Tags, links, names and text of a page."""

  def __init__(self, text):
    super().__init__()
    self.tags, self.links, self.names, self.words = [], [], set(), []
    self.feed(text)

  def handle_starttag(self, tag, attrs):
    attrs = dict(attrs)
    self.tags.append((tag, attrs))
    self.links += [x for x in (attrs.get('href'), attrs.get('src')) if x]
    self.names.add(attrs.get('id'))

  def handle_data(self, data):
    self.words.append(data)


@pytest.fixture(scope='module')
def site(tmp_path_factory):
  folder = tmp_path_factory.mktemp('site')
  built().build(folder)
  return folder, {p.name: Page(p.read_text('utf-8')) for p in folder.glob('*.html')}


def test_each_page_is_there(site):
  _, found = site
  assert len(found) == len(pages.PAGES) >= 12 and 'index.html' in found


def test_links_and_pictures_resolve(site):
  folder, found = site
  for name, page in found.items():
    for link in page.links:
      if '://' in link:
        continue
      path, _, anchor = link.partition('#')
      assert not path or (folder / path).is_file(), f'{name}: {link}'
      assert not path.endswith('.md') or path == 'BUILD_NOTES.md', f'{name}: {link}'
      if anchor:
        assert anchor in found[path or name].names, f'{name}: {link}'
  pictures = [attrs for tag, attrs in found['index.html'].tags if tag == 'img']
  assert len(pictures) == 1 and pictures[0]['alt']


def test_nothing_is_run_and_nothing_comes_from_elsewhere(site):
  folder, found = site
  for page in found.values():
    tags = {tag for tag, _ in page.tags}
    assert not tags & {'script', 'iframe', 'object', 'embed', 'form'}
    assert not any(name.startswith('on') for _, attrs in page.tags for name in attrs)
    assert all('://' not in attrs.get('src', '') + (attrs.get('href', '') if tag == 'link' else '')
               for tag, attrs in page.tags)
  style = (folder / 'style.css').read_text()
  assert 'prefers-color-scheme: dark' in style and 'url(' not in style


def test_markdown_is_read_as_it_is_meant(site):
  _, found = site
  for name, page in found.items():
    tags = [tag for tag, _ in page.tags]
    source = next(p for p in pages.PAGES if name == (
        'index.html' if p.name == 'README.md' else f'{p.stem}.html')).read_text('utf-8')
    outside = ' '.join(page.words)
    assert '```' not in outside and '|---' not in outside and '](' not in outside, name
    assert tags.count('pre') == len([b for b in pages.blocks() if b.page.endswith(
        'README.md' if name == 'index.html' else f'/{name[:-5]}.md')]), name
    assert tags.count('table') == len(pages.tables(source)), name
    assert tags.count('li') == len(pages.items(source)), name


def test_a_folder_with_files_is_refused(site):
  with pytest.raises(FileExistsError):
    built().build(site[0])
