"""llama.cpp: sampling by its server, whose slots are written side by side, with the GGUF file."""

from __future__ import annotations

from concurrent import futures
import pathlib

import xllamacpp

from benchmarks.peers import setting as setting_lib
from benchmarks.peers.setting import MAX_PROMPT_TOKENS, MAX_TOKENS, SAMPLES, Results, Row, timed

NAME = 'llama.cpp'


def measure(folder: pathlib.Path, results: Results) -> None:
  """Adds sampling, with the weights as the file has quantised them."""
  setting = setting_lib.read(folder)
  if not setting.model.endswith('.gguf'):
    print(f'{NAME}: it reads GGUF files alone; --model={setting.model} is none', flush=True)
    return
  params = xllamacpp.CommonParams()
  params.model.path = setting.model
  params.n_parallel = SAMPLES
  params.n_ctx = SAMPLES * (MAX_PROMPT_TOKENS + MAX_TOKENS)
  params.cpuparams.n_threads = params.cpuparams_batch.n_threads = setting.threads
  params.n_gpu_layers = 0
  params.verbosity = 0
  server = xllamacpp.Server(params)

  def one(prompt: list[int], tokens: int) -> int:
    found = server.handle_completions({
        'prompt': prompt, 'n_predict': tokens, 'temperature': setting_lib.TEMPERATURE, 'top_k': 0,
        'top_p': 1.0, 'min_p': 0.0, 'samplers': ['temperature'], 'cache_prompt': True})
    if 'error' in found:
      raise RuntimeError(f'llama.cpp: {found["error"]}')
    return found['usage']['completion_tokens'] if 'usage' in found else found['tokens_predicted']

  with futures.ThreadPoolExecutor(SAMPLES) as threads:
    def sample(prompts: list[list[int]], tokens: int) -> int:
      """Tokens of all samples; questions follow one another without waiting."""
      return sum(threads.map(lambda prompt: one(prompt, tokens),
                             [prompt for prompt in prompts for _ in range(SAMPLES)]))

    sample(setting.prompts[:1], 32)
    written, seconds, cpu = timed(lambda: sample(setting.prompts, MAX_TOKENS))
  results.add(Row(f'{NAME} (as quantised)', 'sampling', SAMPLES, len(setting.prompts), seconds,
                  cpu, written=written))
