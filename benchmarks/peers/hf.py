"""`transformers`: sampling by `generate` at its best, and both loops of PRM beam search."""

from __future__ import annotations

import pathlib
import time
import warnings

import numpy as np
import torch
import transformers

from benchmarks.peers import loops, setting as setting_lib
from benchmarks.peers.setting import MAX_TOKENS, SAMPLES, Results, Row, Setting, timed

NAME = 'transformers'
# name -> (attention, cache, whether it is compiled)
_WAYS = {'eager': ('eager', None, False), 'sdpa': ('sdpa', None, False),
         'static cache': ('sdpa', 'static', False),
         'static cache, compiled': ('sdpa', 'static', True)}
_TRIAL = 32   # tokens of each, by which the way is chosen
_PAD = 128    # static shapes: prompts are padded to a multiple


class Generate:
  """`generate` in one of the ways."""

  def __init__(self, folder: pathlib.Path, setting: Setting, way: str):
    attention, self._cache, compiled = _WAYS[way]
    self._setting, self._model = setting, _model(folder, attention)
    if compiled:
      self._model.forward = torch.compile(self._model.forward)

  def __call__(self, prompt: list[int], num: int, tokens: int) -> list[int]:
    """Lengths of so many samples."""
    setting, pad = self._setting, -len(prompt) % _PAD if self._cache else 0
    ids = torch.tensor([[setting.ends[0]] * pad + prompt])
    mask = torch.tensor([[0] * pad + [1] * len(prompt)])
    with torch.inference_mode():
      found = self._model.generate(
          input_ids=ids, attention_mask=mask, do_sample=True, top_k=0, top_p=1.0,
          temperature=setting_lib.TEMPERATURE, num_return_sequences=num, max_new_tokens=tokens,
          eos_token_id=setting.ends, pad_token_id=setting.ends[0],
          **({'cache_implementation': self._cache} if self._cache else {}))
    return [setting_lib.length(row, setting.ends) for row in found[:, ids.shape[1]:].tolist()]


def measure(folder: pathlib.Path, results: Results) -> None:
  """Adds sampling, and the searches of both loops for every N."""
  setting = setting_lib.read(folder)
  torch.set_num_threads(setting.threads)
  transformers.utils.logging.set_verbosity_error()
  warnings.simplefilter('ignore', FutureWarning)  # of names that it is going to change
  torch.manual_seed(0)
  _sampling(folder, setting, results)
  models = _models(folder)
  for num in setting.candidates:
    for keep in (True, False):
      _search(models, setting, num, keep, results)


def _sampling(folder: pathlib.Path, setting: Setting, results: Results) -> None:
  spent: dict[str, float] = {}
  for way in _WAYS:
    try:
      generate = Generate(folder, setting, way)
      for _ in range(2):  # the first one compiles
        begun = time.monotonic()
        lengths = generate(setting.prompts[0], SAMPLES, _TRIAL)
        spent[way] = (time.monotonic() - begun) / sum(lengths)
    except Exception as error:  # pylint: disable=broad-except
      print(f'{NAME}, {way}: {type(error).__name__}: {str(error).splitlines()[0]}', flush=True)
      spent[way] = float('inf')
  best = min(spent, key=spent.get)
  generate = Generate(folder, setting, best)
  generate(setting.prompts[0], SAMPLES, MAX_TOKENS)
  lengths, seconds, cpu = timed(lambda: [generate(p, SAMPLES, MAX_TOKENS)
                                         for p in setting.prompts])
  results.add(Row(f'{NAME} generate ({best})', 'sampling', SAMPLES, len(setting.prompts), seconds,
                  cpu, written=sum(map(sum, lengths)), note='trial, tokens/s: ' + ', '.join(
                      f'{way} {1 / s:.0f}' for way, s in spent.items())))


def _search(models: loops.Models, setting: Setting, num: int, keep: bool,
            results: Results) -> None:
  rules = loops.Rules(num, setting_lib.BEAM_WIDTH, MAX_TOKENS, setting_lib.MAX_STEPS,
                      setting.delimiters, setting.ends, setting.size)
  at_once = max(1, setting_lib.ROWS // num)

  def run() -> loops.Counts:
    total = loops.Counts()
    for first in range(0, len(setting.prompts), at_once):
      _, counts = loops.search(models, setting.prompts[first:first + at_once], rules, keep)
      total.written, total.read = total.written + counts.written, total.read + counts.read
    return total

  counts, seconds, cpu = timed(run)
  name = f'{NAME}, {"improved" if keep else "re-reading"} loop'
  results.add(Row(name, 'search', num, len(setting.prompts), seconds, cpu, written=counts.written,
                  read=counts.read))


def _models(folder: pathlib.Path) -> loops.Models:
  model = _model(folder, 'sdpa')
  value = torch.from_numpy(np.load(folder / setting_lib.HEAD))
  return loops.Models(model.model, model.lm_head, value)


def _model(folder: pathlib.Path, attention: str) -> torch.nn.Module:
  return transformers.AutoModelForCausalLM.from_pretrained(
      folder / setting_lib.OPEN, dtype=torch.float32, attn_implementation=attention).eval()
