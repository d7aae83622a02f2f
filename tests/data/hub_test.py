"""`hf://` paths against a server on this machine that speaks what the library needs."""

import hashlib
import http.server
import json
import os
import pathlib
import re
import subprocess
import sys
import threading

import pytest

from tts.data import hub
from tts.types import InputError

SHA = 'a' * 40
FILES = {
    'config.json': b'{"a": 1}',
    'model.safetensors': bytes(range(256)) * 100_000,  # 26 MB: the library writes 10 MB at a time
    'tokenizer.model': b'pieces',
    'model-Q4_0.gguf': b'GGUF', 'model-Q8_0.gguf': b'GGUF too',
    'pytorch_model.bin': b'a pickle',
    'modeling.py': b'raise SystemExit',
    'sub/test.jsonl': b'{"problem": "1+1?", "answer": "2"}\n',
}


class _Hub(http.server.BaseHTTPRequestHandler):
  """One public repository, a gated one; the first time, the large file stops half way."""

  requests: list[tuple[str, str]] = []
  cut = True
  protocol_version = 'HTTP/1.1'

  def log_message(self, *_):
    pass

  def _send(self, status, body=b'', **headers):
    self.send_response(status)
    for name, value in {'Content_Length': str(len(body)), **headers}.items():
      self.send_header(name.replace('_', '-'), value)
    self.end_headers()
    if self.command == 'GET':
      self.wfile.write(body)

  def do_GET(self):  # pylint: disable=invalid-name
    path = self.path.partition('?')[0]
    self.requests.append((path, self.headers.get('Range', '')))
    if '/org/gated' in path:
      self._send(403, b'{}', X_Error_Code='GatedRepo')
    elif '/org/name' not in path:
      self._send(404, b'{}', X_Error_Code='RepoNotFound')
    elif path.endswith('/none'):
      self._send(404, b'{}', X_Error_Code='RevisionNotFound')
    elif '/tree/' in path:
      self._send(200, json.dumps([
          {'type': 'file', 'path': name, 'size': len(body), 'oid': hashlib.sha1(body).hexdigest()}
          for name, body in FILES.items()]).encode(), Content_Type='application/json')
    elif path.startswith('/api/'):
      siblings = [{'rfilename': name} for name in FILES]
      self._send(200, json.dumps({'id': 'org/name', 'sha': SHA, 'siblings': siblings}).encode(),
                 Content_Type='application/json')
    else:
      name = re.search('/resolve/[^/]*/(.*)', path)[1]
      if name not in FILES:
        self._send(404, X_Error_Code='EntryNotFound')
        return
      self._file(FILES[name])

  do_HEAD = do_GET

  def _file(self, body):
    headers = {'ETag': f'"{hashlib.sha256(body).hexdigest()}"', 'X_Repo_Commit': SHA,
               'Accept_Ranges': 'bytes'}
    asked = re.fullmatch(r'bytes=(\d+)-(\d*)', self.headers.get('Range', ''))
    if asked and self.command == 'GET':
      begin = int(asked[1])
      end = int(asked[2]) + 1 if asked[2] else len(body)
      headers['Content_Range'] = f'bytes {begin}-{end - 1}/{len(body)}'
      self._send(206, body[begin:end], **headers)
    elif self.command == 'GET' and len(body) > 1_000_000 and type(self).cut:
      type(self).cut = False
      self._send(200, body[:len(body) // 2], **headers, Content_Length=str(len(body)))
      self.close_connection = True
    else:
      self._send(200, body, **headers)


_SCRIPT = '''
import json, sys
from tts.data import hub
from tts.types import InputError
for path, kind in json.loads(sys.argv[1]):
  try:
    print(json.dumps(hub.local(path, kind)))
  except InputError as e:
    print(json.dumps({'error': str(e)}))
'''


@pytest.fixture(name='ask')
def _ask(tmp_path):
  pytest.importorskip('huggingface_hub')
  _Hub.requests, _Hub.cut = [], True
  server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), _Hub)
  threading.Thread(target=server.serve_forever, daemon=True).start()
  # The library reads its environment once, when it is imported.
  env = os.environ | {'HF_HOME': str(tmp_path / 'home'), 'HF_TOKEN': 'hf_x', 'HF_HUB_OFFLINE': '0',
                      'HF_ENDPOINT': f'http://127.0.0.1:{server.server_port}',
                      'HF_HUB_DISABLE_XET': '1', 'NO_PROXY': '127.0.0.1'}

  def ask(*asked, **more):
    done = subprocess.run([sys.executable, '-c', _SCRIPT, json.dumps(asked)], env=env | more,
                          capture_output=True, text=True, timeout=100, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]

  yield ask
  server.shutdown()
  server.server_close()


def test_a_repository_comes_without_pickles_and_code_and_goes_on_where_it_was(ask):
  (folder,) = ask(('hf://org/name', 'model'))
  found = {str(p.relative_to(folder)): p.read_bytes()
           for p in pathlib.Path(folder).rglob('*') if p.is_file()}
  assert found == {k: FILES[k] for k in ('config.json', 'model.safetensors', 'tokenizer.model')}
  assert not any(end in path for path, _ in _Hub.requests for end in ('.bin', '.py', '.gguf'))
  assert [range_ for path, range_ in _Hub.requests if 'safetensors' in path and range_] == [
      f'bytes={10 * 2**20}-']
  # A second time, without network, it is there.
  before = len(_Hub.requests)
  assert ask(('hf://org/name', 'model'), HF_HUB_OFFLINE='1') == [folder]
  assert len(_Hub.requests) == before


def test_paths_in_a_repository_and_mistakes(ask):
  file, quantised, folder, *wrong = ask(
      ('hf://org/name/sub/test.jsonl', 'dataset'), ('hf://org/name/model-Q8_0.gguf', 'model'),
      ('hf://org/name@main/sub', 'dataset'), ('hf://org/other', 'model'), ('hf://org/gated', 'model'), ('hf://org/name@none', 'model'),
      ('hf://org/name/sub/none.jsonl', 'dataset'), ('hf://org/name/pytorch_model.bin', 'model'))
  assert pathlib.Path(file).read_bytes() == FILES['sub/test.jsonl']
  assert pathlib.Path(quantised).read_bytes() == FILES['model-Q8_0.gguf']
  assert pathlib.Path(quantised).name == 'model-Q8_0.gguf'
  assert [p.name for p in pathlib.Path(folder).iterdir()] == ['test.jsonl']
  messages = ('no such model repository', 'gated: accept', 'no such revision', 'no such file',
              'nothing else is fetched')
  for answer, message in zip(wrong, messages, strict=True):
    assert message in answer['error'] and '\n' not in answer['error']


def test_no_network_is_said(ask):
  (answer,) = ask(('hf://org/name', 'model'), HF_HUB_OFFLINE='1')
  assert 'not in the cache' in answer['error'] and '\n' not in answer['error']


@pytest.mark.parametrize('path', [
    'hf://', 'hf://name', 'hf://o/n/../../x', 'hf://o/n@', 'hf://-/n'])
def test_other_forms_are_refused(path):
  with pytest.raises(InputError, match=r'not of the form hf://org/name\[@revision\]'):
    hub.local(path)


def test_a_local_path_passes_through_without_the_library():
  script = ("import sys; from tts.data import hub; print(hub.local('a/b'), "
            "'huggingface_hub' in sys.modules)")
  done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, check=True)
  assert done.stdout.split() == ['a/b', 'False']


def test_the_missing_library_is_named(monkeypatch):
  monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
  with pytest.raises(InputError, match=r'pip install -e "\.\[open\]"'):
    hub.local('hf://org/name')
