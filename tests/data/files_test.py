"""A file that is being written has another name; what comes of it is a file like any other."""

import os
import stat

import pytest

from tts.data import files
from tts.types import InputError


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
  path = tmp_path / 'a.jsonl'
  path.write_bytes(b'old')
  with files.written_aside(path) as file:
    file.write(b'new')
    file.flush()
    assert path.read_bytes() == b'old'
    (aside,) = set(tmp_path.iterdir()) - {path}
    assert aside.name.startswith('.a.jsonl.')
  assert path.read_bytes() == b'new' and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there(tmp_path, error):
  with pytest.raises(error):
    with files.written_aside(tmp_path / 'a') as file:
      file.write(b'half')
      raise error
  assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('umask,mode', [(0o022, 0o644), (0o077, 0o600)])
def test_others_may_read_what_open_would_let_them(tmp_path, umask, mode):
  before = os.umask(umask)
  try:
    with files.written_aside(tmp_path / 'a') as file:
      file.write(b'x')
  finally:
    os.umask(before)
  assert stat.S_IMODE((tmp_path / 'a').stat().st_mode) == mode


def test_file_and_name_are_on_the_disk_before_it_is_done(tmp_path, monkeypatch):
  """A power cut right after may lose neither what is in the file nor its name."""
  done = []
  fsync, replace = os.fsync, os.replace
  monkeypatch.setattr(os, 'fsync', lambda d: (
      done.append('folder' if stat.S_ISDIR(os.fstat(d).st_mode) else 'file'), fsync(d)))
  monkeypatch.setattr(os, 'replace', lambda a, b: (done.append('name'), replace(a, b)))
  with files.written_aside(tmp_path / 'a') as file:
    file.write(b'x')
  assert done == ['file', 'name', 'folder']


def test_a_place_that_cannot_be_written_is_named(tmp_path):
  for path, said in ((tmp_path / 'none' / 'a', 'create the folder'), (tmp_path, 'is a folder')):
    with pytest.raises(InputError, match=said):
      with files.written_aside(path):
        pass


def test_a_link_stays_one_and_a_pipe_is_left_alone(tmp_path):
  (tmp_path / 'link').symlink_to(tmp_path / 'file')
  with files.written_aside(tmp_path / 'link') as file:
    file.write(b'1')
  assert (tmp_path / 'link').is_symlink() and (tmp_path / 'file').read_bytes() == b'1'
  os.mkfifo(tmp_path / 'pipe')
  with pytest.raises(InputError, match='pipe: it is no file'):
    files.check_place(tmp_path / 'pipe')
