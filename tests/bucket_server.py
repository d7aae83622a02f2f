"""A server on this machine that speaks what Google Cloud Storage's library needs."""

import contextlib
import socket


@contextlib.contextmanager
def running():
  """Runs one with an empty bucket called `bucket`; what to set in the environment to reach it."""
  from gcp_storage_emulator import server
  with socket.socket() as free:
    free.bind(('localhost', 0))
    port = free.getsockname()[1]
  started = server.create_server('localhost', port, in_memory=True, default_bucket='bucket')
  started.start()
  try:
    yield {'STORAGE_EMULATOR_HOST': f'http://localhost:{port}'}
  finally:
    started.stop()
