"""Hashes of files are right, and remembered only for files that have not changed since."""

from concurrent import futures
import hashlib
import os

import pytest

from tts.data import content


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  monkeypatch.setattr(content, '_SETTLED_NS', -1)
  return tmp_path / 'cache/tts/digests'


@pytest.fixture
def read(monkeypatch):
  """Files that were read, in place of remembered."""
  found, hashed = [], content._hashed
  monkeypatch.setattr(content, '_hashed', lambda path, seen: (
      found.append(os.path.basename(path)), hashed(path, seen))[1])
  return found


def write(path, data):
  path.write_bytes(data)
  return path


def sha(data):
  return hashlib.sha256(data).hexdigest()


def test_each_file_is_read_once(tmp_path, read):
  files = [write(tmp_path / name, name.encode() * 99) for name in 'abc']
  assert content.digests(files) == [sha(name.encode() * 99) for name in 'abc']
  assert sorted(read) == ['a', 'b', 'c']
  assert content.digests(files[::-1]) == [sha(name.encode() * 99) for name in 'cba']
  (tmp_path / 'link').symlink_to(files[0])
  assert content.digests([tmp_path / 'link']) == [sha(b'a' * 99)]
  assert len(read) == 3


@pytest.mark.parametrize('replaced', [False, True], ids=['in place', 'by another file'])
def test_other_bytes_of_the_same_size_and_time_are_seen(tmp_path, read, replaced):
  file = write(tmp_path / 'a', b'1' * 50)
  content.digests([file])
  was = os.stat(file)
  if replaced:
    write(tmp_path / 'b', b'2' * 50).replace(file)
  else:
    write(file, b'2' * 50)
  os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
  assert content.digests([file]) == [sha(b'2' * 50)] and len(read) == 2


def test_a_file_that_has_just_changed_is_not_remembered(tmp_path, read, monkeypatch):
  monkeypatch.setattr(content, '_SETTLED_NS', 10**12)
  file = write(tmp_path / 'a', b'1')
  assert content.digests([file]) == content.digests([file]) and len(read) == 2


@pytest.mark.parametrize('damage', [
    b'', b'{', b'[]', b'null', b'{"stamp": 1}', b'\xff', b'[' * 100_000], ids=repr)
def test_a_damaged_cache_is_made_anew(tmp_path, cache, read, damage):
  file = write(tmp_path / 'a', b'1')
  content.digests([file])
  entry, = cache.iterdir()
  whole = entry.read_bytes()
  entry.write_bytes(damage)
  assert content.digests([file]) == [sha(b'1')] and len(read) == 2
  assert entry.read_bytes() == whole and [*cache.iterdir()] == [entry]


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, cache, read):
  cache.parent.mkdir(parents=True)
  cache.write_text('no folder')
  file = write(tmp_path / 'a', b'1')
  assert content.digests([file]) == content.digests([file]) == [sha(b'1')]
  assert len(read) == 2


def test_several_at_once(tmp_path):
  files = [write(tmp_path / str(i), str(i).encode() * 10_000) for i in range(6)]
  with futures.ThreadPoolExecutor(6) as pool:
    found = list(pool.map(lambda _: content.digests(files), range(12)))
  assert found == [[sha(str(i).encode() * 10_000) for i in range(6)]] * 12
