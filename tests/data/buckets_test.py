"""`gs://` paths against a server on this machine that speaks what the library needs."""

import os
import pathlib
import time

import pytest

from tests import bucket_server
from tts.data import buckets, files, gcs, hub
from tts.types import InputError

pytest.importorskip('gcp_storage_emulator')
pytest.importorskip('google.cloud.storage')


@pytest.fixture(scope='module')
def server():
  with bucket_server.running() as env:
    yield env


@pytest.fixture
def bucket(server, tmp_path, monkeypatch):
  """An empty bucket, as this machine sees it; its caches are new."""
  for name, value in server.items():
    monkeypatch.setenv(name, value)
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  gcs.client.cache_clear()
  buckets.local.cache_clear()
  found = gcs.client().bucket('bucket')
  for blob in found.list_blobs():
    blob.delete()
  yield found
  gcs.client.cache_clear()


def names(bucket):
  return sorted(blob.name for blob in bucket.list_blobs())


def write(folder, **texts):
  for name, text in texts.items():
    path = pathlib.Path(folder, *name.split('__'))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_folder_comes_back_on_another_machine(bucket, monkeypatch, tmp_path):
  with buckets.opened('gs://bucket/runs/w') as folder:
    write(folder, a='1', sub__b='2', tmp__c='3', data__d='4')
    buckets.push()
    assert names(bucket) == ['runs/w/a', 'runs/w/sub/b']  # and not what each machine makes itself
    os.rename(f'{folder}/sub', f'{folder}/stale')
    write(folder, a='new')
  assert names(bucket) == ['runs/w/a', 'runs/w/stale/b']
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'other'))
  with buckets.opened('gs://bucket/runs/w') as other:
    assert other != folder
    assert pathlib.Path(other, 'a').read_text() == 'new'
    assert pathlib.Path(other, 'stale/b').read_text() == '2'


def test_what_never_reached_the_bucket_is_dropped(bucket):
  """A block of a killed process may be of a config that another machine has left since."""
  with buckets.opened('gs://bucket/w') as folder:
    write(folder, a='1')
  with pytest.raises(ZeroDivisionError):
    with buckets.opened('gs://bucket/w') as folder:
      write(folder, lost='2')
      raise ZeroDivisionError
  assert names(bucket) == ['w/a']
  with buckets.opened('gs://bucket/w') as again:
    assert again == folder and os.listdir(folder) == ['a']


def test_nothing_is_sent_or_fetched_twice(bucket, monkeypatch):
  moved = []
  monkeypatch.setattr(gcs, 'download', lambda *a, real=gcs.download: moved.append(a[1].name) or
                      real(*a))
  send = buckets._Folder._send  # pylint: disable=protected-access
  monkeypatch.setattr(buckets._Folder, '_send', lambda *a: moved.append(a[1]) or send(*a))
  with buckets.opened('gs://bucket/w') as folder:
    write(folder, a='1', b='2')
    buckets.push()
    buckets.pull()
    write(folder, b='3')
  assert moved == ['a', 'b', 'b']


def test_two_processes_see_each_other_s_files(bucket):
  with buckets.opened('gs://bucket/w') as first:
    mine = buckets._opened[0]  # pylint: disable=protected-access
    with buckets.opened('gs://bucket/w') as second:
      theirs = buckets._opened[1]  # pylint: disable=protected-access
      assert first != second
      write(first, records__a='1')
      write(second, records__b='2')
      buckets.push()
      buckets.pull()
      for folder in (first, second):
        assert sorted(os.listdir(f'{folder}/records')) == ['a', 'b']
      os.remove(f'{first}/records/b')  # the first one found it damaged
      write(first, records__a='more')
      mine.push()
      write(second, records__c='3')  # not sent yet, so not removed
      theirs.pull()
      assert sorted(os.listdir(f'{second}/records')) == ['a', 'c']
      assert pathlib.Path(second, 'records/a').read_text() == 'more'
      # Replaced after it was listed: listed again, and read as it is now.
      write(first, records__a='most', records__d='4')
      listed = theirs._listed  # pylint: disable=protected-access

      def late():
        found = listed()
        if late.first:
          late.first = False
          write(first, records__a='last')
          mine.push()
        return found

      late.first, theirs._listed = True, late  # pylint: disable=protected-access
      mine.push()
      theirs.pull()
      assert pathlib.Path(second, 'records/a').read_text() == 'last'


def test_what_says_that_others_are_whole_is_sent_last(bucket, monkeypatch):
  sent = []
  send = buckets._Folder._send  # pylint: disable=protected-access
  monkeypatch.setattr(buckets._Folder, '_send', lambda *a: sent.append(a[1]) or send(*a))
  with buckets.opened('gs://bucket/w') as folder:
    for name, size in (('m/z', 1), ('m/large', 3 << 20), ('m/model.json', 9), ('m/a', 5)):
      write(folder, **{name.replace('/', '__'): 'x' * size})
      time.sleep(0.01)
  assert sent == ['m/large', 'm/z', 'm/model.json', 'm/a']
  assert bucket.get_blob('w/m/large').size == 3 << 20


def test_reading_files_and_folders(bucket):
  bucket.blob('sets/test.jsonl').upload_from_string('{"problem": "1+1?"}\n')
  bucket.blob('sets/data/').upload_from_string('')  # what a console makes of "new folder"
  bucket.blob('sets/data/x').upload_from_string('x')
  assert pathlib.Path(hub.local('gs://bucket/sets/test.jsonl')).read_text().startswith('{"problem"')
  folder = pathlib.Path(hub.local('gs://bucket/sets/'))
  assert sorted(p.name for p in folder.rglob('*')) == ['data', 'test.jsonl', 'x']
  bucket.blob('sets/data/x').upload_from_string('y')
  buckets.local.cache_clear()  # as a new process
  assert (pathlib.Path(hub.local('gs://bucket/sets')) / 'data/x').read_text() == 'y'


def test_a_file_is_there_whole_or_not_at_all(bucket):
  with files.written_aside('gs://bucket/out.jsonl') as file:
    file.write(b'1\n')
    assert names(bucket) == []
  assert bucket.get_blob('out.jsonl').download_as_bytes() == b'1\n'
  with pytest.raises(ZeroDivisionError):
    with files.written_aside('gs://bucket/out.jsonl') as file:
      file.write(b'half')
      raise ZeroDivisionError
  assert bucket.get_blob('out.jsonl').download_as_bytes() == b'1\n'


@pytest.mark.parametrize('path, words', [
    ('gs://bucket', 'gs://bucket/folder'),
    ('gs://bucket/../x', 'gs://bucket/folder'),
    ('gs://none/w', 'no such bucket'),
    ('gs://bucket/nothing', 'nothing of this name'),
])
def test_mistakes_are_one_line(bucket, path, words):
  with pytest.raises(InputError, match=words) as error:
    hub.local(path)
  assert path in str(error.value) and '\n' not in str(error.value)


def test_a_name_that_would_leave_the_folder_is_refused(bucket, monkeypatch, tmp_path):
  monkeypatch.setattr(gcs.client(), 'list_blobs', lambda *_, **__: [bucket.blob('w/../../evil')])
  with pytest.raises(InputError, match='evil is no name'):
    with buckets.opened('gs://bucket/w'):
      pass
  assert not list(tmp_path.rglob('evil'))


def test_without_credentials(bucket, monkeypatch):
  monkeypatch.delenv('STORAGE_EMULATOR_HOST')
  monkeypatch.setenv('GOOGLE_APPLICATION_CREDENTIALS', '/nowhere.json')
  gcs.client.cache_clear()
  with pytest.raises(InputError, match='credentials'):
    hub.local('gs://bucket/w')
