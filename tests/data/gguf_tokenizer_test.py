"""Vocabularies out of GGUF files against the files that they were taken from: the same ids."""

import json

import pytest
import sentencepiece

from tests.data import open_folders
from tests.open import gguf_files
from tts.data import gguf_tokenizer
from tts.data.prompts import PromptConfig, Prompts
from tts.data.tokenizer import Tokenizer
from tts.gguf_file import GgufFile
from tts.types import InputError

pytest.importorskip('gguf', reason='extra `gguf`')
pytest.importorskip('tokenizers', reason='extra `open`')

TEXTS = [*open_folders.ROUND_TRIPS, '2024-01-02 12345 1', 'a  7', 'I\'LL don\'T', '\n\n3. x']


def gguf_of(folder, path, pre, **more):
  """Writes the vocabulary of a folder's `tokenizer.json` as llama.cpp's converter does."""
  spec = json.loads((folder / 'tokenizer.json').read_text())
  config = json.loads((folder / 'tokenizer_config.json').read_text())
  vocab = dict(spec['model']['vocab'])
  kinds = dict.fromkeys(vocab, 1)
  for token in spec['added_tokens']:
    vocab[token['content']] = token['id']
    kinds[token['content']] = 3 if token['special'] else 4
  tokens = sorted(vocab, key=vocab.get)
  assert [vocab[t] for t in tokens] == list(range(len(tokens)))
  types = [kinds[t] for t in tokens]
  merges = [m if isinstance(m, str) else ' '.join(m) for m in spec['model']['merges']]
  eos = config['eos_token']
  more['eos_token_id'] = vocab[eos if isinstance(eos, str) else eos['content']]
  if config.get('bos_token'):
    more['bos_token_id'] = vocab[config['bos_token']]
  # A model has more rows than its tokenizer has ids; the converter gives these a name.
  tokens += [f'[PAD{i}]' for i in range(len(tokens), len(tokens) + 5)]
  vocabulary = gguf_files.byte_level(tokens, merges, types + [5] * 5, pre, **more)
  vocabulary['tokenizer.chat_template'] = config.get('chat_template') or (
      folder / 'chat_template.jinja').read_text()
  gguf_files.write(path, 'qwen2', gguf_files.weights('qwen2', True, len(tokens)),
                   vocabulary=vocabulary)
  return Tokenizer.load(path)


def smollm(folder):
  """In SmolLM2's manner: digits apart, then as GPT-2 has it."""
  from tokenizers import pre_tokenizers
  tokenizer = open_folders.byte_level(['<|endoftext|>', '<|im_start|>', '<|im_end|>'])
  tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
      pre_tokenizers.Digits(individual_digits=True),
      pre_tokenizers.ByteLevel(add_prefix_space=False)])
  spec = json.loads(tokenizer.to_str())
  spec['model']['ignore_merges'] = False
  open_folders.write(folder, tokenizer=spec, tokenizer_config={
      'bos_token': '<|im_start|>', 'eos_token': '<|im_end|>', 'add_bos_token': False,
      'chat_template': open_folders.QWEN})
  return folder


def qwen(folder):
  """Without its NFC, which no reader of a GGUF file knows of."""
  open_folders.qwen(folder)
  spec = json.loads((folder / 'tokenizer.json').read_text())
  spec['normalizer'], spec['model']['ignore_merges'] = None, False
  return open_folders.write(folder, tokenizer=_digits(spec, r'\p{N}'))


def _digits(spec, digits):
  split = spec['pre_tokenizer']['pretokenizers'][0]
  split['pattern'] = {'Regex': split['pattern']['Regex'].replace(r'\p{N}{1,3}', digits)}
  return spec


def assert_same(ours, theirs):
  assert ours.encode_batch(TEXTS) == theirs.encode_batch(TEXTS)
  assert ours.encode_prompts(TEXTS) == theirs.encode_prompts(TEXTS)
  assert ours.decode_batch(ours.encode_batch(TEXTS)) == TEXTS
  assert ours.special_texts == theirs.special_texts and ours.vocab_size == theirs.vocab_size
  assert ours.bos_id == theirs.bos_id and ours.eos_ids[0] == theirs.eos_ids[0]
  for question in ('Why?', ' 12  34\n'):
    prompts = [Prompts(PromptConfig('chat', 'Be brief.'), t) for t in (ours, theirs)]
    assert prompts[0].encode(question) == prompts[1].encode(question)


@pytest.mark.parametrize('make, pre', [
    (smollm, 'smollm'), (qwen, 'qwen2'), (open_folders.llama_3, 'llama-bpe')])
def test_the_ids_of_the_folder(tmp_path, make, pre):
  folder = make(tmp_path / 'folder')
  ours, theirs = gguf_of(folder, tmp_path / 'm.gguf', pre), Tokenizer.load(folder)
  assert_same(ours, theirs)
  (tmp_path / 'saved').mkdir()
  ours.save(tmp_path / 'saved')
  assert_same(Tokenizer.load(tmp_path / 'saved'), theirs)


def test_each_kind_parts_texts_in_its_own_way(tmp_path):
  """The comparison above would have seen one taken for another."""
  folder = qwen(tmp_path / 'folder')
  ids = [gguf_of(folder, tmp_path / f'{pre}.gguf', pre).encode_batch(TEXTS)
         for pre in ('smollm', 'qwen2', 'llama-bpe', 'gpt-2')]
  assert len({repr(i) for i in ids}) == 4


def test_what_ends_a_generation(tmp_path):
  """Of a vocabulary whose chat ends turns with another id than its texts."""
  folder = open_folders.llama_3(tmp_path / 'folder')
  theirs = Tokenizer.load(folder)
  ours = gguf_of(folder, tmp_path / 'm.gguf', 'llama-bpe', eom_token_id=5)
  names = ['<|eot_id|>', ours.token(5), '<|end_of_text|>']
  assert [ours.token(i) for i in ours.eos_ids] == names
  assert set(theirs.eos_ids) < set(ours.eos_ids)
  bare = gguf_of(folder, tmp_path / 'n.gguf', 'llama-bpe', add_bos_token=False)
  assert bare.bos_id is None and ours.bos_id == theirs.bos_id is not None


def test_pieces_of_sentencepiece(tmp_path):
  folder = open_folders.llama_2(tmp_path / 'folder')
  model = sentencepiece.SentencePieceProcessor(str(folder / 'tokenizer.model'))
  count = range(model.vocab_size())
  kind = lambda i: (2 if model.is_unknown(i) else 3 if model.is_control(i) else
                    6 if model.is_byte(i) else 1)
  config = json.loads((folder / 'tokenizer_config.json').read_text())
  vocabulary = {
      'tokenizer.ggml.model': 'llama', 'tokenizer.ggml.tokens': list(map(model.id_to_piece, count)),
      'tokenizer.ggml.scores': list(map(model.get_score, count)),
      'tokenizer.ggml.token_type': list(map(kind, count)), 'tokenizer.ggml.bos_token_id': 1,
      'tokenizer.ggml.eos_token_id': 2, 'tokenizer.ggml.unknown_token_id': 0,
      'tokenizer.chat_template': config['chat_template']}
  gguf_files.write(tmp_path / 'm.gguf', 'llama',
                   gguf_files.weights('llama', True, len(count)), vocabulary=vocabulary)
  ours = Tokenizer.load(tmp_path / 'm.gguf')
  assert_same(ours, Tokenizer.load(folder))
  vocabulary['tokenizer.ggml.scores'] = [0.0]
  with pytest.raises(InputError, match='1 scores'):
    gguf_tokenizer.files(GgufFile(tmp_path, vocabulary, {}))
