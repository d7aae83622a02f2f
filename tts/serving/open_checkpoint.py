"""Open checkpoints in and out: a folder of `config.json` and safetensors, and a model of ours."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import hashlib
import json
import math
import os
import pathlib
import shutil
from typing import Any

from absl import logging
import jax
import numpy as np
from tqdm import tqdm

from tts import gguf_file
from tts.data import content, files, hub, tokenizer_files, verifier_format
from tts.data.tokenizer import FILE_NAME, JSON_NAME, Tokenizer
from tts.estimates import memory
from tts.models import open_config, open_gguf, open_heads, open_weights
from tts.models.arch import Arch, DTYPES
from tts.train import checkpoint
from tts.types import InputError

IMPORTED = 'imported'  # in a workdir
_CONFIG = 'config.json'
_SHARD_BYTES = 4 << 30  # of an export, as large as others make theirs
_FORMAT = 1  # of what an import makes of the same files: another one is another model
_PROCESS_BYTES = 290_000_000  # of an interpreter with the libraries that an import needs


def import_model(source: str, output: str, kind: str = 'lm', dtype: str | None = None,
                 words: tuple[str, str] = ('+', '-'),
                 layout: str | None = None) -> dict[str, Any]:
  """Makes a model of ours, tokenizer included, of an open one; one tensor is read at a time.

  Args:
    source: folder with `config.json`, `*.safetensors` and the tokenizer, or `hf://org/name`; or a
      GGUF file, `F.gguf` or `hf://org/name/F.gguf`.
    output: folder to make; it must not be there, or be empty.
    kind: of `open_heads.KINDS`.
    dtype: of parameters and activations; None is the checkpoint's (float16 becomes float32, and so
      does what a GGUF file has quantised).
    words: the good and the bad word of a `token_prm`.
    layout: of a verifier's text, of `verifier_format.FORMATS`; None is the kind's.

  Returns:
    `model.json`'s contents.

  Raises:
    InputError: names the file and the tensor or the field, and what is supported.
  """
  _check_empty(output)
  found = read(source, kind, dtype, words, layout)
  checkpoint.save_model(output, found.arch, found.params, found.meta, found.tokenizer)
  return checkpoint.read_meta(output)


@dataclasses.dataclass(frozen=True)
class Opened:
  """An open checkpoint in memory."""

  arch: Arch
  params: Any           # numpy or JAX arrays on the host, as `checkpoint.load_model` gives them
  meta: dict[str, Any]  # of `model.json`
  tokenizer: Tokenizer


def read(source: str, kind: str = 'lm', dtype: str | None = None,
         words: tuple[str, str] = ('+', '-'), layout: str | None = None) -> Opened:
  """Reads an open checkpoint, one tensor at a time. Args and errors as of `import_model`."""
  if kind not in open_heads.KINDS:
    raise InputError(f'--kind={kind}: one of {", ".join(open_heads.KINDS)}')
  if dtype not in (None, *DTYPES):
    raise InputError(f'--dtype={dtype}: one of {", ".join(DTYPES)}')
  if layout not in (None, *verifier_format.FORMATS):
    raise InputError(f'--format={layout}: one of {", ".join(verifier_format.FORMATS)}')
  folder = pathlib.Path(hub.local(source))
  fields, found, shards = _described(folder, kind in open_heads.OF_WORDS)
  if kind != 'lm':
    layout = layout or verifier_format.default(kind, fields['model_type'])
  arch = open_heads.arch_of(kind, _in_dtype(found, dtype or _stored(fields)))
  tokenizer = Tokenizer.load(folder)
  tokenizer.check_fits(arch.vocab_size, str(folder))
  logging.info('importing %s (%s), about %.1f GB of memory', source, kind,
               peak_memory(arch, fields) / 1e9)
  with tqdm(total=sum(1 for _ in open_weights.layout(arch)), unit=' tensors', delay=5,
            leave=False) as bar:
    params = open_weights.trunk(arch, shards, lambda _: bar.update())
  ids = tuple(_id(tokenizer, word) for word in words) if kind == 'token_prm' else None
  params |= open_heads.read(kind, arch, shards, np.asarray(params['embed']), found.tied, ids)
  unread = shards.check_all_read(found.tied or kind not in open_heads.OF_WORDS)
  if unread:
    logging.warning('%s: %d tensors are passed over, as a model of text of this kind has no use '
                    'for them: %s', folder, len(unread), _few(unread))
  checkpoint.check_finite(params, str(folder))
  meta = {'kind': 'lm' if kind == 'lm' else 'prm', 'metrics': {},
          'open': {'kind': kind, 'config': fields, 'format': layout,
                   'quantisation': open_gguf.quantisation(folder)}}
  return Opened(arch, {'params': params}, meta, tokenizer)


def imported(path: str, workdir: str, lm: bool, dtype: str | None = None) -> str:
  """The folder of a model of ours: `path` itself, or what is made of an open checkpoint, once.

  Args:
    path: of a run's `checkpoint`; what has a `config.json` and no `model.json` is an open one, and
      so are a GGUF file and `hf://org/name[@revision]`.
    workdir: of the run; imports are in its `IMPORTED`, each called by its `identity`.
    lm: whether it is to be a language model, or a verifier of the kind that its tensors say.
    dtype: as of `import_model`.

  Raises:
    InputError: as `import_model`; a verifier without a head of its own; a dtype for a model of
      ours.
  """
  folder = pathlib.Path(hub.local(path))
  if not is_open(folder):
    if dtype is not None:
      raise InputError(f'{folder} is a model of ours and has its dtype: leave dtype={dtype} out, '
                       'or give the open checkpoint')
    return str(folder)
  target = pathlib.Path(workdir, IMPORTED, identity(folder, lm, dtype))
  if not target.exists():
    kind = 'lm' if lm else open_heads.kind_of(folder, open_weights.shards(folder))
    import_model(str(folder), str(target), kind, dtype)
  return str(target)


def identity(folder: pathlib.Path, lm: bool, dtype: str | None = None) -> str:
  """A hash of an open checkpoint's tensors, config and tokenizer, and of what is made of them.

  `folder` may be a GGUF file, which has all three. Of the files' bytes: neither
  their names nor their times count, nor files that are not read.
  """
  beside = [name for name in (_CONFIG, JSON_NAME, FILE_NAME, *tokenizer_files.BESIDE)
            if (folder / name).is_file()]
  shards = [folder] if gguf_file.is_gguf(folder) else open_weights.Shards(folder).files
  small = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in beside]
  found = [_FORMAT, lm, list(zip(beside, small)), sorted(content.digests(shards))]
  if dtype is not None:
    found.append(dtype)
  return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16]


def planned_arch(path: str, lm: bool, dtype: str | None = None) -> dict[str, Any]:
  """The architecture, as JSON, of what `imported` gives or would give.

  No weights are read, but for the two tables of a tied model that has both.
  """
  folder = pathlib.Path(hub.local(path))
  if not is_open(folder):
    return checkpoint.read_meta(str(folder))['arch']
  fields, found, shards = _described(folder, lm)
  kind = 'lm' if lm else open_heads.kind_of(folder, shards)
  return dataclasses.asdict(open_heads.arch_of(kind, _in_dtype(found, dtype or _stored(fields))))


def _in_dtype(arch: Arch, dtype: str) -> Arch:
  """With parameters and activations of one dtype."""
  return dataclasses.replace(arch, dtype=dtype, param_dtype=None if dtype == 'float32' else dtype)


def _described(folder: pathlib.Path,
               reads_head: bool) -> tuple[dict[str, Any], Arch, open_weights.Shards]:
  """`config.json`, the trunk that it describes, and its tensors.

  A tied model may have a head of its own all the same: where it is read it is kept, as
  `transformers` 5 does, for nobody stores another table to have it ignored.
  """
  fields = open_config.read(folder)
  arch, shards = open_config.to_arch(folder, fields), open_weights.shards(folder)
  if reads_head and arch.tied and shards.has_own_head(arch):
    logging.warning('%s: lm_head.weight is not the embedding and is kept, though config.json has '
                    'tie_word_embeddings', folder)
    fields = {**fields, 'tie_word_embeddings': False}
    arch = dataclasses.replace(arch, tied=False)
  return fields, arch, shards


def _few(names: list[str]) -> str:
  return ', '.join(names[:3]) + (', ...' if len(names) > 3 else '')


def is_open(folder: pathlib.Path) -> bool:
  return gguf_file.is_gguf(folder) or (
      (folder / _CONFIG).is_file() and not (folder / checkpoint.MODEL_FILE).is_file())


def peak_memory(arch: Arch, fields: Mapping[str, Any]) -> int:
  """Bytes of memory that an import takes at most.

  The model, and beside it one tensor as it is read and once more as it is turned around.

  Args:
    arch: of the model.
    fields: of `config.json`, which says how large a stored number is.
  """
  stored = 4 if (fields.get('dtype') or fields.get('torch_dtype')) == 'float32' else 2
  largest = max(math.prod(tensor.stored) for tensor in open_weights.layout(arch))
  return _PROCESS_BYTES + memory.weights(arch, 1) + 2 * stored * largest


def _check_empty(output: str) -> None:
  path = pathlib.Path(output)
  if path.is_file() or path.is_dir() and any(path.iterdir()):
    raise InputError(f'--output={output} is there already: give an empty or a new folder')


def _stored(fields: dict[str, Any]) -> str:
  """Parameters' dtype: the checkpoint's, but float32 for what has less than bfloat16's range."""
  given = fields.get('dtype') or fields.get('torch_dtype')
  return 'bfloat16' if given == 'bfloat16' else 'float32'


def _id(tokenizer: Tokenizer, word: str) -> int:
  """The id that a word ends in, where it stands at the beginning or after a blank.

  Of Math-Shepherd's vocabulary that is `▁+`, and not the `+` of `1+1`.
  """
  ids = tokenizer.encode_prompt(word)[len(tokenizer.encode_prompt('')):]
  if not ids:
    raise InputError(f'the tokenizer has no id for {word!r}: give --words')
  return ids[-1]


def export_model(source: str, output: str) -> None:
  """Writes a model that was imported as `config.json`, safetensors and its tokenizer.

  Args:
    source: folder of a language model that `import_model` has made, finetuned or not.
    output: folder to make; it must not be there, or be empty.

  Raises:
    InputError: it is no model, no language model, or was not imported.
  """
  _check_empty(output)
  arch, params, meta, tokenizer = checkpoint.load_model(source)
  if 'open' not in meta or meta['kind'] != 'lm':
    raise InputError(f'{source} is not a language model that launch.import_checkpoint has made: '
                     'only such a one has a config.json to go back to')
  target = pathlib.Path(os.path.abspath(output))
  aside = target.with_name(f'.{target.name}.new')
  shutil.rmtree(aside, ignore_errors=True)
  aside.mkdir(parents=True)
  tokenizer.save(aside)
  fields = {k: v for k, v in meta['open']['config'].items() if k != 'torch_dtype'}
  fields |= {'dtype': arch.stored, 'architectures': [_ARCHITECTURES[fields['model_type']]]}
  (aside / 'config.json').write_text(json.dumps(fields, indent=1))
  _write_shards(aside, arch, params['params'])
  if target.is_dir():
    target.rmdir()
  aside.rename(target)


_ARCHITECTURES = {'llama': 'LlamaForCausalLM', 'mistral': 'MistralForCausalLM',
                  'qwen2': 'Qwen2ForCausalLM', 'qwen3': 'Qwen3ForCausalLM',
                  'gemma2': 'Gemma2ForCausalLM', 'gemma3_text': 'Gemma3ForCausalLM'}


def _write_shards(folder: pathlib.Path, arch: Arch, params: Any) -> None:
  """Tensors in files of at most `_SHARD_BYTES`, with the index that names them."""
  from safetensors.numpy import save_file

  item = open_weights.dtype(arch).itemsize
  groups, size = [[]], 0
  for tensor in open_weights.layout(arch):
    more = int(np.prod(tensor.stored)) * item
    if groups[-1] and size + more > _SHARD_BYTES:
      groups.append([])
      size = 0
    groups[-1].append(tensor)
    size += more
  place = {}
  for number, group in enumerate(groups, 1):
    name = ('model.safetensors' if len(groups) == 1
            else f'model-{number:05d}-of-{len(groups):05d}.safetensors')
    found = {}
    for tensor in group:
      value = params
      for key in tensor.path:
        value = value[key]
      found[tensor.name] = tensor.theirs(np.asarray(jax.device_get(value)))
      place[tensor.name] = name
    save_file(found, folder / name, metadata={'format': 'pt'})
  if len(groups) > 1:
    with files.written_aside(folder / 'model.safetensors.index.json') as file:
      file.write(json.dumps({'metadata': {}, 'weight_map': place}, indent=1).encode())
