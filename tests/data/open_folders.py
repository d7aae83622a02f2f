"""Small tokenizers as open checkpoints have them, trained here: folders of files, no download."""

from __future__ import annotations

import io
import json
import pathlib

import sentencepiece

TEXTS = [
    'Natalia sold clips to 48 friends in April.\n\nHow many did she sell?\n',
    'def f(x):\n    return {k: v**2 for k, v in x.items()}\n\n\nprint(f({}))\n',
    'The answer is $\\boxed{\\frac{3}{28}}$.\n\nSo $x^2 - 7x + 10 = 0$.\n',
    'caf\u00e9 na\u00efve \u4f60\u597d\u4e16\u754c \U0001f389\U0001f680 \u2200x\u2208\u211d\n',
    'Step 1: add.\nStep 2: take away.\n\n', '(a).\n\n(b).\n\nuser\n\nassistant\nsystem\n',
] * 8
# Each is what a vocabulary might lose: blanks, line ends, code, LaTeX, characters of 2 to 4 bytes.
ROUND_TRIPS = [
    *dict.fromkeys(TEXTS), ' leading', '  two', 'trailing ', 'a  b   c', '\n', '\n\n', ' \n \n',
    '\tif x:\n\t\treturn 1\r\n', "don't can't I'll", 'x , y . z ! ?', '123456 7.890',
    '\u200b\u00a0|',
    '$\\begin{aligned} a &= b \\\\ c &= d \\end{aligned}$', 'e = mc^2;',
    '\U0001f468\u200d\U0001f469']

LLAMA_3 = (
    "{{- bos_token }}{%- if messages[0]['role'] == 'system' %}"
    "{%- set system_message = messages[0]['content']|trim %}{%- set messages = messages[1:] %}"
    "{%- else %}{%- set system_message = '' %}{%- endif %}"
    "{{- '<|start_header_id|>system<|end_header_id|>\\n\\nToday: 2024\\n\\n' + system_message }}"
    "{{- '<|eot_id|>' }}{%- for m in messages %}{{- '<|start_header_id|>' + m['role'] + "
    "'<|end_header_id|>\\n\\n' + m['content'] | trim + '<|eot_id|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}"
    "{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}")
QWEN = (
    "{%- if messages[0]['role'] == 'system' %}\n"
    "    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}\n"
    "{%- else %}\n    {{- '<|im_start|>system\\nYou are helpful.<|im_end|>\\n' }}\n{%- endif %}\n"
    "{%- for m in messages %}\n"
    "  {%- if m.role == 'system' and loop.first %}{% continue %}{% endif %}\n"
    "  {{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}\n{%- endfor %}\n"
    "{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n{%- endif %}\n")
LLAMA_2 = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}[INST] <<SYS>>\n"
    "{{ messages[0]['content'] }}\n<</SYS>>\n\n{{ messages[1]['content'] }} [/INST]{% else %}"
    "[INST] {{ messages[0]['content'] }} [/INST]{% endif %}")
SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
         r'| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+')


def write(folder: pathlib.Path, **contents) -> pathlib.Path:
  """Writes `tokenizer_config` and the like as JSON files."""
  folder.mkdir(parents=True, exist_ok=True)
  for name, value in contents.items():
    (folder / f'{name}.json').write_text(json.dumps(value))
  return folder


def byte_level(specials: list[str], plain: list[str] = ()):
  """Byte-level merges as Llama 3 and Qwen have them, with special and other added tokens."""
  import tokenizers
  from tokenizers import decoders, models, pre_tokenizers, trainers
  tokenizer = tokenizers.Tokenizer(models.BPE(ignore_merges=True))
  tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
      pre_tokenizers.Split(tokenizers.Regex(SPLIT), 'isolated'),
      pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
  tokenizer.decoder = decoders.ByteLevel()
  tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(
      vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
  tokenizer.add_tokens([tokenizers.AddedToken(t, normalized=False) for t in plain])
  tokenizer.add_special_tokens([tokenizers.AddedToken(t, normalized=False) for t in specials])
  return tokenizer


def llama_3(folder: pathlib.Path) -> pathlib.Path:
  from tokenizers import processors
  names = ['<|begin_of_text|>', '<|end_of_text|>', '<|start_header_id|>', '<|end_header_id|>',
           '<|eot_id|>']
  tokenizer = byte_level(names)
  ids = {n: tokenizer.token_to_id(n) for n in names}
  tokenizer.post_processor = processors.Sequence([
      processors.ByteLevel(trim_offsets=False),
      processors.TemplateProcessing(single=f'{names[0]} $A', pair=f'{names[0]} $A {names[0]} $B',
                                    special_tokens=[(names[0], ids[names[0]])])])
  tokenizer.enable_truncation(5)  # as files have it that someone trained with
  write(folder, tokenizer_config={
      'tokenizer_class': 'PreTrainedTokenizerFast', 'bos_token': names[0], 'eos_token': names[4],
      'chat_template': LLAMA_3}, generation_config={
          'eos_token_id': [ids[names[1]], ids[names[4]]], 'do_sample': True})
  tokenizer.save(str(folder / 'tokenizer.json'))
  return folder


def qwen(folder: pathlib.Path, more: tuple[str, ...] = ()) -> pathlib.Path:
  from tokenizers import normalizers, processors
  tokenizer = byte_level(['<|endoftext|>', '<|im_start|>', '<|im_end|>', *more], ['<think>'])
  tokenizer.normalizer = normalizers.NFC()
  tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
  write(folder, tokenizer_config={
      'tokenizer_class': 'PreTrainedTokenizerFast', 'add_bos_token': False, 'bos_token': None,
      'eos_token': {'__type': 'AddedToken', 'content': '<|im_end|>', 'special': True},
      'pad_token': '<|endoftext|>'},
      generation_config={'eos_token_id': tokenizer.token_to_id('<|endoftext|>')})
  (folder / 'chat_template.jinja').write_text(QWEN)
  tokenizer.save(str(folder / 'tokenizer.json'))
  return folder


def llama_2(folder: pathlib.Path, texts: list[str] = TEXTS) -> pathlib.Path:
  """A SentencePiece model with a dummy prefix, whose newline is a byte."""
  model = io.BytesIO()
  sentencepiece.SentencePieceTrainer.train(
      sentence_iterator=(line for text in texts for line in text.splitlines()),
      model_writer=model, model_type='bpe', vocab_size=440,
      byte_fallback=True, normalization_rule_name='identity', remove_extra_whitespaces=False,
      add_dummy_prefix=True, split_digits=True, character_coverage=1.0, hard_vocab_limit=False,
      allow_whitespace_only_pieces=True, unk_id=0, bos_id=1, eos_id=2, pad_id=-1, minloglevel=2,
      num_threads=1)
  write(folder, tokenizer_config={
      'tokenizer_class': 'LlamaTokenizer', 'add_bos_token': True, 'bos_token': '<s>',
      'eos_token': '</s>', 'unk_token': '<unk>', 'legacy': False, 'chat_template': LLAMA_2})
  (folder / 'tokenizer.model').write_bytes(model.getvalue())
  return folder


def llama_2_json(folder: pathlib.Path, legacy: bool, texts: list[str] = TEXTS) -> pathlib.Path:
  """The same as `tokenizer.json`, in the two ways that the dummy prefix is written there."""
  llama_2(folder, texts)
  model = sentencepiece.SentencePieceProcessor(str(folder / 'tokenizer.model'))
  (folder / 'tokenizer.model').unlink()
  pieces = {model.id_to_piece(i): i for i in range(model.vocab_size())}
  # A merge makes a piece; the lower its id, the earlier.
  merges = sorted((i, [p[:k], p[k:]]) for p, i in pieces.items() for k in range(1, len(p))
                  if p[:k] in pieces and p[k:] in pieces and not model.is_byte(i))
  blank = {'type': 'Replace', 'pattern': {'String': ' '}, 'content': '\u2581'}
  added = [{'id': i, 'content': model.id_to_piece(i), 'single_word': False, 'lstrip': False,
            'rstrip': False, 'normalized': False, 'special': True} for i in range(3)]
  bos = {'SpecialToken': {'id': '<s>', 'type_id': 0}}
  spec = {
      'version': '1.0', 'truncation': None, 'padding': None, 'added_tokens': added,
      'normalizer': None, 'pre_tokenizer': None,
      'post_processor': {
          'type': 'TemplateProcessing', 'single': [bos, {'Sequence': {'id': 'A', 'type_id': 0}}],
          'pair': [bos, {'Sequence': {'id': 'A', 'type_id': 0}}],
          'special_tokens': {'<s>': {'id': '<s>', 'ids': [1], 'tokens': ['<s>']}}},
      'decoder': {'type': 'Sequence', 'decoders': [
          {'type': 'Replace', 'pattern': {'String': '\u2581'}, 'content': ' '},
          {'type': 'ByteFallback'}, {'type': 'Fuse'},
          {'type': 'Strip', 'content': ' ', 'start': 1, 'stop': 0}]},
      'model': {'type': 'BPE', 'dropout': None, 'unk_token': '<unk>', 'fuse_unk': True,
                'byte_fallback': True, 'vocab': pieces, 'merges': [m for _, m in merges]}}
  if legacy:
    spec['normalizer'] = {'type': 'Sequence', 'normalizers': [
        {'type': 'Prepend', 'prepend': '\u2581'}, blank]}
  else:
    spec['pre_tokenizer'] = {'type': 'Metaspace', 'replacement': '\u2581',
                             'prepend_scheme': 'first', 'split': False}
  (folder / 'tokenizer.json').write_text(json.dumps(spec))
  # Of this class `transformers` takes the file as it is; LlamaTokenizer makes it anew.
  config = json.loads((folder / 'tokenizer_config.json').read_text())
  write(folder, tokenizer_config={**config, 'tokenizer_class': 'PreTrainedTokenizerFast'})
  return folder


KINDS = {
    'llama_3': llama_3, 'qwen': qwen, 'llama_2': llama_2,
    'llama_2_json': lambda folder: llama_2_json(folder, False),
    'llama_2_legacy': lambda folder: llama_2_json(folder, True)}
