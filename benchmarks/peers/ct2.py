"""CTranslate2: sampling in float32 and int8."""

from __future__ import annotations

import pathlib

import ctranslate2
import transformers

from benchmarks.peers import setting as setting_lib
from benchmarks.peers.setting import MAX_TOKENS, SAMPLES, Results, Row, timed

NAME = 'CTranslate2'


def measure(folder: pathlib.Path, results: Results) -> None:
  """Adds sampling in both."""
  setting = setting_lib.read(folder)
  source = folder / setting_lib.OPEN
  tokenizer = transformers.AutoTokenizer.from_pretrained(source)
  words = [tokenizer.convert_ids_to_tokens(prompt) for prompt in setting.prompts]
  for kind in ('float32', 'int8'):
    target = folder / f'ct2-{kind}'
    ctranslate2.converters.TransformersConverter(str(source)).convert(str(target),
                                                                      quantization=kind)
    generator = ctranslate2.Generator(str(target), device='cpu', compute_type=kind,
                                      inter_threads=1, intra_threads=setting.threads)

    def sample(prompt: list[str], tokens: int) -> list[int]:
      """Lengths of samples, their ends included."""
      found = generator.generate_batch(
          [prompt] * SAMPLES, max_length=tokens, sampling_topk=0,
          sampling_temperature=setting_lib.TEMPERATURE, include_prompt_in_result=False,
          end_token=setting.ends, return_end_token=True, max_batch_size=SAMPLES)
      return [len(result.sequences_ids[0]) for result in found]

    sample(words[0], 32)
    lengths, seconds, cpu = timed(lambda: [sample(w, MAX_TOKENS) for w in words])
    results.add(Row(f'{NAME}, {kind}', 'sampling', SAMPLES, len(words), seconds, cpu,
                    written=sum(map(sum, lengths))))
