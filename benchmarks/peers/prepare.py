"""The same weights for every engine: ours, a PRM of ours, and a folder for `transformers`."""

from __future__ import annotations

import json
import pathlib

import numpy as np

from benchmarks.peers import setting as setting_lib
from tts.data.prompts import PromptConfig, Prompts
from tts.models import open_heads, transformer
from tts.serving import open_checkpoint
from tts.train import checkpoint

PROMPTS = PromptConfig(kind='chat', delimiter='newline')


def prepare(folder: pathlib.Path, model: str, questions: list[str], candidates: list[int],
            threads: int) -> None:
  """Fills an empty folder with the models and `Setting`.

  Args:
    folder: to be filled.
    model: an open checkpoint's folder or GGUF file.
    questions: texts.
    candidates: N of the searches.
    threads: of an engine.
  """
  base, verifier = folder / setting_lib.BASE, folder / setting_lib.VERIFIER
  open_checkpoint.import_model(model, str(base), dtype='float32')
  open_checkpoint.export_model(str(base), str(folder / setting_lib.OPEN))
  arch, params, meta, tokenizer = checkpoint.load_model(base)
  head = np.random.default_rng(setting_lib.HEAD_SEED).standard_normal((arch.width, 1)) * 0.05
  head = head.astype(np.float32)
  np.save(folder / setting_lib.HEAD, head[:, 0])
  arch = open_heads.arch_of('value_prm', arch)
  own = params['params'] | {'value': {'kernel': head, 'bias': np.zeros(1, np.float32)}}
  wanted = transformer.abstract(arch)['params']
  checkpoint.save_model(verifier, arch, {'params': {name: own[name] for name in wanted}},
                        {'kind': 'prm', 'metrics': {}, 'open': meta['open']}, tokenizer)
  prompts = Prompts(PROMPTS, tokenizer)
  roles = prompts.roles
  setting_lib.Setting(
      model=model, questions=questions,
      prompts=[list(map(int, ids)) for ids in prompts.encode_batch(questions)],
      delimiters=list(roles.delimiters), ends=list(roles.ends),
      size=roles.size or arch.vocab_size, candidates=candidates, threads=threads).write(folder)


def questions(path: str, count: int) -> list[str]:
  """The first questions of a file of JSON lines, {"question": ...}."""
  with open(path, encoding='utf-8') as file:
    return [json.loads(line)['question'] for _, line in zip(range(count), file)]
