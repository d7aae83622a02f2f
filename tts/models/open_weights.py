"""Tensors of an open checkpoint --> parameters of a `Decoder`, and back, one tensor at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import dataclasses
import json
import pathlib
import re
from typing import Any

import numpy as np

from tts import gguf_file, placement
from tts.models import open_gguf
from tts.models.arch import Arch
from tts.types import InputError

_INDEX = 'model.safetensors.index.json'
_HEAD = 'lm_head.weight'
# Of no use here: tables that the program makes, and pictures.
_UNUSED = re.compile(r'.*rotary_emb\.inv_freq$|.*(?:vision_tower|multi_modal_projector)\..*')
_PREFIXES = ('model.language_model.', 'language_model.model.', 'model.')


@dataclasses.dataclass(frozen=True)
class Tensor:
  """One parameter and where it lies.

  Attributes:
    path: of the parameter, e.g. ('attn_0', 'q', 'kernel').
    name: of the tensor, e.g. `model.layers.0.self_attn.q_proj.weight`.
    stored: the tensor's shape.
    shape: the parameter's.
    turned: the tensor is [out, in] and the parameter [in, out].
  """

  path: tuple[str, ...]
  name: str
  stored: tuple[int, ...]
  shape: tuple[int, ...]
  turned: bool = False

  def ours(self, tensor: np.ndarray) -> np.ndarray:
    """[out, in] --> [in, out], `out` split into heads where the parameter has them apart."""
    return np.ascontiguousarray(tensor.T if self.turned else tensor).reshape(self.shape)

  def theirs(self, value: np.ndarray) -> np.ndarray:
    """The opposite of `ours`."""
    flat = value.reshape(self.stored[::-1] if self.turned else self.stored)
    return np.ascontiguousarray(flat.T if self.turned else flat)


def layout(arch: Arch, prefix: str = 'model.') -> Iterator[Tensor]:
  """Every tensor of the trunk and of an untied output table."""
  width, head = arch.width, arch.head_size

  def matrix(path, name, out, inside, shape=None):
    return Tensor((*path, 'kernel'), f'{name}.weight', (out, inside), shape or (inside, out), True)

  yield Tensor(('embed',), f'{prefix}embed_tokens.weight', *[(arch.vocab_size, width)] * 2)
  for i in range(arch.num_layers):
    layer = f'{prefix}layers.{i}.'
    for ours, count in (('q', arch.num_heads), ('k', arch.num_kv_heads), ('v', arch.num_kv_heads)):
      name = f'{layer}self_attn.{ours}_proj'
      yield matrix((f'attn_{i}', ours), name, count * head, width, (width, count, head))
      if arch.qkv_bias:
        yield Tensor((f'attn_{i}', ours, 'bias'), f'{name}.bias', (count * head,), (count, head))
    yield matrix((f'attn_{i}', 'o'), f'{layer}self_attn.o_proj', width, arch.num_heads * head)
    for ours in ('q_norm', 'k_norm') if arch.qk_norm else ():
      yield Tensor((f'attn_{i}', ours, 'scale'), f'{layer}self_attn.{ours}.weight', (head,),
                   (head,))
    yield matrix((f'mlp_{i}', 'gate'), f'{layer}mlp.gate_proj', arch.mlp_width, width)
    yield matrix((f'mlp_{i}', 'up'), f'{layer}mlp.up_proj', arch.mlp_width, width)
    yield matrix((f'mlp_{i}', 'down'), f'{layer}mlp.down_proj', width, arch.mlp_width)
    for ours, theirs in _norms(arch.post_norms):
      yield Tensor((f'{ours}_{i}', 'scale'), f'{layer}{theirs}.weight', (width,), (width,))
  yield Tensor(('final_norm', 'scale'), f'{prefix}norm.weight', (width,), (width,))
  if 'lm' in arch.heads and not arch.tied:
    yield Tensor(('unembed',), _HEAD, *[(arch.vocab_size, width)] * 2)


def _norms(post_norms: bool) -> tuple[tuple[str, str], ...]:
  if not post_norms:
    return ('attn_norm', 'input_layernorm'), ('mlp_norm', 'post_attention_layernorm')
  return (('attn_norm', 'input_layernorm'), ('attn_post_norm', 'post_attention_layernorm'),
          ('mlp_norm', 'pre_feedforward_layernorm'),
          ('mlp_post_norm', 'post_feedforward_layernorm'))


class Shards:
  """The tensors of a folder's `*.safetensors`, each read when it is asked for."""

  _config = 'config.json'  # what says which shapes are right

  def __init__(self, directory: pathlib.Path):
    """Raises InputError: no such files, one is missing or damaged, or they are pickles."""
    self._directory = directory
    self._place: dict[str, pathlib.Path] = {}
    self._read: set[str] = set()
    for path in self._files():
      with _opened(path) as file:
        self._place.update(dict.fromkeys(file.keys(), path))

  def _files(self) -> list[pathlib.Path]:
    index = self._directory / _INDEX
    if index.is_file():
      try:
        names = sorted(set(json.loads(index.read_bytes())['weight_map'].values()))
        inside = all(pathlib.PurePath(name).name == name for name in names)
      except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as e:
        raise InputError(f'{index} has no weight_map ({e!r}): copy it again') from e
      if not inside:
        raise InputError(f'{index} names files outside its folder: it is not to be trusted')
      for name in names:
        if not (self._directory / name).is_file():
          raise InputError(f'{self._directory} lacks {name}, which {_INDEX} names: download it')
      return [self._directory / name for name in names]
    found = sorted(self._directory.glob('*.safetensors'))
    if found:
      return found
    pickles = sorted(p.name for end in ('bin', 'pt', 'pth')
                     for p in self._directory.glob(f'*.{end}'))
    if pickles:
      raise InputError(
          f'{self._directory} has {pickles[0]} and no *.safetensors: a pickle can run code and is '
          'not read; convert it where you trust it: python -c "from transformers import '
          f'AutoModelForCausalLM as M; M.from_pretrained(\'{self._directory}\', '
          'torch_dtype=\'auto\').save_pretrained(\'OUT\')"')
    raise InputError(f'{self._directory} has no *.safetensors: give the folder of an open '
                     'checkpoint')

  @property
  def files(self) -> list[pathlib.Path]:
    """Those that hold the tensors."""
    return sorted(set(self._place.values()))

  @property
  def prefix(self) -> str:
    """What the trunk's tensors begin with."""
    for prefix in (*_PREFIXES, ''):
      if f'{prefix}embed_tokens.weight' in self._place:
        return prefix
    raise InputError(f'{self._directory}: no tensor is called embed_tokens.weight: it is not a '
                     'checkpoint of a supported family')

  def __contains__(self, name: str) -> bool:
    return name in self._place

  def take(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor; InputError where it is missing or of another shape."""
    if name not in self._place:
      raise InputError(f'{self._directory}: tensor {name} is missing: the download is not whole, '
                       f'or {self._config} is of another model')
    if (found := self._shape(name)) != shape:
      raise InputError(f'{self._place[name]}: tensor {name} is {list(found)} and {list(shape)} by '
                       f'{self._config}: they are of different models')
    self._read.add(name)
    return self._tensor(name)

  def _shape(self, name: str) -> tuple[int, ...]:
    with _opened(self._place[name]) as file:
      return tuple(file.get_slice(name).get_shape())

  def _tensor(self, name: str) -> np.ndarray:
    with _opened(self._place[name]) as file:
      return file.get_tensor(name)

  def has_own_head(self, arch: Arch) -> bool:
    """Whether there is an output table, and it is not the embedding; both are read."""
    shape = arch.vocab_size, arch.width
    return _HEAD in self and not np.array_equal(
        self.take(_HEAD, shape), self.take(f'{self.prefix}embed_tokens.weight', shape))

  def check_all_read(self, spare_head: bool) -> list[str]:
    """Names of the tensors that are of no use here.

    Args:
      spare_head: a model that does not use it, tied or with another head, may hold an output table.

    Raises:
      InputError: it names a tensor which no parameter was made of.
    """
    spare = {_HEAD} if spare_head else set()
    unread = sorted(set(self._place) - self._read)
    left = [n for n in unread if n not in spare and not _UNUSED.fullmatch(n)]
    if left:
      raise InputError(f'{self._place[left[0]]}: tensor {left[0]} has no place in a model of this '
                       f'kind ({len(left)} such): another --kind, or an architecture that is not '
                       'supported')
    return unread


class GgufShards(Shards):
  """The tensors of a GGUF file, by their names in a folder, dequantised into float32."""

  _config = 'its metadata'

  def __init__(self, path: pathlib.Path):  # pylint: disable=super-init-not-called
    """Raises InputError: it is not a GGUF file, or not a whole one."""
    self._directory, self._read = path, set()
    self._file = gguf_file.opened(path)
    self._names = open_gguf.names(self._file)
    self._place = dict.fromkeys(self._names, path)

  def _shape(self, name: str) -> tuple[int, ...]:
    return self._file.tensors[self._names[name]].shape

  def _tensor(self, name: str) -> np.ndarray:
    found = self._names[name]
    return open_gguf.usual(self._file, found, self._file.read(found))


def shards(path: pathlib.Path) -> Shards:
  """The tensors of an open checkpoint: a folder, or a GGUF file."""
  return GgufShards(path) if gguf_file.is_gguf(path) else Shards(path)


def _opened(path: pathlib.Path):
  try:
    import safetensors
  except ImportError as e:
    raise InputError('open checkpoints need safetensors: pip install -e ".[open]"') from e
  try:
    return safetensors.safe_open(path, framework='numpy')
  except (safetensors.SafetensorError, OSError) as e:
    raise InputError(f'{path} is not a whole safetensors file ({e}): download it again') from e


def trunk(arch: Arch, shards: Shards, seen: Callable[[Tensor], None] = lambda _: None) -> Any:
  """Parameters of the trunk in `arch.stored`, on the CPU; there is never a second copy of them.

  Args:
    arch: from `open_config.to_arch`.
    shards: of the same folder.
    seen: called with each tensor, for progress.
  """
  params: dict[str, Any] = {}
  for tensor in layout(arch, shards.prefix):
    value = placement.on_cpu(
        tensor.ours(shards.take(tensor.name, tensor.stored)).astype(dtype(arch), copy=False))
    place = params
    for key in tensor.path[:-1]:
      place = place.setdefault(key, {})
    place[tensor.path[-1]] = value
    seen(tensor)
  return params


def dtype(arch: Arch) -> np.dtype:
  """Of the parameters; numpy knows bfloat16 by ml_dtypes."""
  import ml_dtypes

  return np.dtype(ml_dtypes.bfloat16 if arch.stored == 'bfloat16' else arch.stored)
