"""What goes wrong between here and a server: asked again; nothing lost, nothing twice."""

import dataclasses
import threading
import time

import pytest

from tests.remote import serving
from tests.remote.server import Server
from tests.remote.serving import assert_equal, FAST, LIMITS, searched
from tts import methods


@pytest.fixture(scope='module')
def undisturbed(params, verifier):
  with Server(params, LIMITS) as server:
    client, generator = serving.connected(server)
    found = searched(generator, verifier, methods.beam(2))
    client.close()
  return found, server.drawn


@pytest.mark.parametrize('fault', ['close', 'half', '503', '429', '500'])
def test_a_request_that_fails_is_sent_again(fault, params, verifier, served, undisturbed):
  with Server(params, LIMITS, fault=lambda number: fault if number % 3 == 0 else None) as server:
    found = searched(served(server), verifier, methods.beam(2))
  assert_equal(found, undisturbed[0])
  assert server.number > 1.3 * len(undisturbed[1])
  assert set(server.drawn.values()) == {1} and server.drawn == undisturbed[1]


def test_a_server_that_is_killed_ten_times(params, verifier, served, undisturbed):
  """Whatever it was writing is asked for again, and no draw is in the trees twice."""
  with Server(params, LIMITS) as server:
    kills, over = [], threading.Event()
    every = len(undisturbed[1]) // 11

    def kill():
      last = 0
      for _ in range(10):
        while server.number < last + every and not over.is_set():  # it has come on since
          time.sleep(0.001)
        if over.is_set():
          return
        last = server.number
        server.kill()
        kills.append(last)
        server.start()

    # Slowly, so that it is killed while it works.
    server.fault = lambda number: time.sleep(0.02)
    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    generator = served(server, config=dataclasses.replace(FAST, requests=4))
    found = searched(generator, verifier, methods.beam(2))
    over.set()
    killer.join()
  assert len(kills) == 10 and kills == sorted(set(kills))
  assert_equal(found, undisturbed[0])
  assert set(server.drawn) == set(undisturbed[1])
