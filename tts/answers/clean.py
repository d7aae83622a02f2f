"""One way of writing for what people and models write in many: scripts, layout, Markdown.

What comes out is plain LaTeX in ASCII, words marked as such. It still says all that the answer
said: nothing that tells one answer from another is dropped here.
"""

from __future__ import annotations

import re
import unicodedata

# Stands before every word that is text and not a product of letters.
WORD = '\ue000'

_SUPERSCRIPTS = {ord(c): p for c, p in zip('⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱˣʸ', '0123456789+-=()nixy')}
_SUBSCRIPTS = {ord(c): p for c, p in zip('₀₁₂₃₄₅₆₇₈₉', '0123456789')}
_TAB = re.compile(r'\t(?=(?:imes|ext|frac|heta|an)(?![a-z]))')  # of \times, as \b of \boxed
_DOUBLED = re.compile(r'\\\\(?=[A-Za-z]{2})')  # backslashes that were written as JSON twice
_POWER = re.compile(f'[{"".join(map(chr, _SUPERSCRIPTS))}]+')
_INDEX = re.compile(f'[{"".join(map(chr, _SUBSCRIPTS))}]+')
_SIGNS = {
    '\x08': '\\b', '\x0c': '\\f',  # of \boxed and \frac, where JSON took them for its own
    '−': '-', '－': '-', '＋': '+', '／': '/', '–': '-',
    '—': '-', '‐': '-', '‑': '-', '×': '*', '·': '*', '⋅': '*', '∙': '*',
    '÷': '/', '∕': '/', '⁄': '/', 'π': r'\pi ', '∞': r'\infty ', '≤': r'\le ', '≥': r'\ge ',
    '⩽': r'\le ', '⩾': r'\ge ', '≠': r'\ne ', '±': r'\pm ', '∪': r'\cup ', '∩': r'\cap ',
    '∈': r'\in ', '∅': r'\emptyset ', 'ℝ': r'\mathbb{R}', '√': r'\sqrt ', '∛': r'\sqrt[3]',
    '£': r'\gbp ', '€': r'\eur ', '¥': r'\yen ', '₹': r'\inr ', '¢': f'{WORD}cents ',
    '￥': r'\yen ', '円': f' {WORD}yen ', '元': f' {WORD}yuan ', '個': ' ', '。': '.',
    '…': '...', '°': r'^\circ ', 'º': r'^\circ ', '⟨': r'\langle ', '⟩': r'\rangle ',
    '〈': r'\langle ',
    '〉': r'\rangle ', '≈': r'\approx ', '′': "'", '’': "'", '‘': "'", '“': '"', '”': '"',
    '٫': '.', '٬': ',', '٪': '%', '，': ',', '；': ';', '：': ':', '（': '(', '）': ')',
    '％': '%', '＝': '=', '\u2061': '', '\u2062': '*', '\ufe0f': '',
    **{c: f'\\{unicodedata.name(c).split()[-1].lower()} ' for c in 'αβγδεζηθκμνξρστφχψω'},
    **{c: f'\\{unicodedata.name(c).split()[-1].capitalize()} ' for c in 'ΓΔΘΣΦΨΩ'},
}
_ASCII = re.compile(r'[\x20-\x7e]*')

_MAY_BE_TEXT = re.compile(r'\\(?:text|m?box|hbox|math[brsi]|oper|bold|bm|emph|under)')
_PLAIN = frozenset('\\*<>!~{')  # none of them: there is nothing to rewrite
_TEXT = re.compile(
    r'\\(?:text(?:bf|it|rm|normal|sf|tt|up)?|mbox|hbox|mathrm|mathbf|mathit|mathsf|textsc|'
    r'operatorname\*?|boldsymbol|bm|emph|underline)\s*\{((?:[^{}]|\{[^{}]*\})*)\}')
_WORD = re.compile(rf"(?<![\\A-Za-z{WORD}])[A-Za-z]+(?:['-][A-Za-z]+)*")
_HALF_OF_DAY = re.compile(r'(?<![A-Za-z])([ap])\.?\s?m(?:\.|(?![A-Za-z]))', re.IGNORECASE)
_REPEATING = re.compile(
    r'(?<![\d.])(\d{0,20})\.(\d{0,20})(?:\\(?:overline|bar)\s*\{?\s*(\d{1,20})\s*\}?'
    r'|\\dot\s*\{?\s*(\d)\s*\}?(?:(\d{0,20})\\dot\s*\{?\s*(\d)\s*\}?)?'
    r'|(?:(\d)\7{2,}|(\d{2,6})\8+)\s*(?:\\[lc]?dots|\.\.\.)|\((\d{1,20})\))')
# Other names of a command, and commands that only set type.
_COMMANDS = {
    **dict.fromkeys('left right big bigl bigr bigm Big Bigl Bigr bigg biggl biggr displaystyle '
                    'textstyle limits quad qquad approx simeq'.split(), ' '),
    'thinspace': '', 'surd': r'\sqrt', 'cdot': '*', 'times': '*', 'ast': '*', 'div': '/', 'lt': '<',
    'gt': '>', 'lbrace': r'\{', 'rbrace': r'\}', 'lbrack': '[', 'rbrack': ']',
    'langle': r'\langle ', 'varnothing': r'\emptyset ',
    **dict.fromkeys(('dfrac', 'tfrac', 'cfrac'), r'\frac'),
    **dict.fromkeys(('dbinom', 'tbinom'), r'\binom'),
    **dict.fromkeys(('le', 'leq', 'leqslant'), r'\le '),
    **dict.fromkeys(('ge', 'geq', 'geqslant'), r'\ge '),
    **dict.fromkeys(('ne', 'neq'), r'\ne '),
    **dict.fromkeys(('mid', 'vert', 'lvert', 'rvert'), '|'),
    **dict.fromkeys(('degree', 'degrees', 'circ'), r'\degree '),
}
_COMMAND = re.compile(r'\\([A-Za-z]+)')
# (what is in every text that changes, pattern, what it becomes).
_REWRITES = tuple((needle, re.compile(pattern), new) for needle, pattern, new in (
    ('\\', r'(?<!\\)\\[()\[\]](?!\d*(?:pt|em|ex))|(?<!\\)\\[;:>/ ~]|\\\\\s*$', ' '),
    ('\\', r'(?<!\\)\\[!,#]', ''),
    ('\\%', r'\\%', '%'),
    ('~', '~', ' '),
    ('degree', r'\^\s*(?:\{\s*\\degree\s*\}|\\degree)', r'\\degree '),
    (WORD, rf'\\frac\s*\{{\s*({WORD}[A-Za-z]+)\s*\}}\s*\{{\s*({WORD}[A-Za-z]+)\s*\}}', r'\1 / \2'),
    ('choose', r'\{([^{}\\]+)\\choose([^{}]+)\}', r'\\binom{\1}{\2}'),
    ('_', r'(?:\{\s*\})?_\{?(\d+)\}?\s*C\s*_\{?(\d+)\}?', r'\\binom{\1}{\2}'),
    ('**', r'\*\*', '^'),
    ('<=', r'<=', r'\\le '),
    ('=<', r'=<', r'\\le '),
    ('>=', r'>=', r'\\ge '),
    ('!=', r'!=', r'\\ne '),
    (r'\not', r'\\not\s*=', r'\\ne '),
    ('{', r'\{\s*([,:.])\s*\}', r'\1'),
    (' , ', r'(?<=\d) , (?=\d{3}(?!\d))', ','),  # what \text{,} leaves
))
_SPACING = re.compile(r'\\(?:hspace|vspace|[hv]?phantom|label|tag)\*?\s*\{[^{}]*\}')


def clean(answer: str) -> str:
  """Returns an answer in plain LaTeX: ASCII but for `WORD` before each word of text.

  Digits of other scripts become 0 to 9, superscripts powers, `½` a fraction, `\\dfrac` `\\frac`,
  `**` a power; `\\left`, spacing and dollar signs of mathematics go, `\\text{}` leaves its words.
  """
  text = answer if _ASCII.fullmatch(answer) else _in_ascii(answer)
  if '\\\\' in text and r'\begin' not in text:
    text = _DOUBLED.sub(r'\\', text)
  text = _without_markdown(text.strip())
  if '.' in text:
    text = _HALF_OF_DAY.sub(r'\1m', text)
  if not _PLAIN.isdisjoint(text):
    for _ in range(3):  # text inside text
      if not _MAY_BE_TEXT.search(text):
        break
      text = _TEXT.sub(lambda m: f' {_marked(m[1])} ', text)
    if '\\' in text:
      text = _SPACING.sub(' ', text)
      text = _COMMAND.sub(lambda m: _COMMANDS.get(m[1], m[0]), text)
    for needle, pattern, new in _REWRITES:
      if needle in text:
        text = pattern.sub(new, text)
  if '.' in text:
    text = _REPEATING.sub(_as_fraction, text)
  if '_' in text:
    text = re.sub(r'(?<=\d)_(?=\d{3}(?!\d))', '', text)  # 1_000_000
  if ' x ' in text or '10' in text:
    text = re.sub(r'(?<=\d) ?x ?(?=10\s?\^)', '*', text)
  if '$' in text:
    # An odd number of dollar signs, or one after a backslash, is money; a pair is mathematics.
    money = r'\usd ' if text.replace('\\$', '').count('$') % 2 else ''
    text = text.replace('\\$', r'\usd ').replace('$', money)
  text = ' '.join(text.split())
  ends = text.endswith('.') and not text.endswith('..') and text != '.'
  return text[:-1].rstrip() if ends else text


def _in_ascii(text: str) -> str:
  text = _TAB.sub(r'\\t', text)
  text = _POWER.sub(lambda m: '^{' + m[0].translate(_SUPERSCRIPTS) + '}', text)
  text = _INDEX.sub(lambda m: '_{' + m[0].translate(_SUBSCRIPTS) + '}', text)
  out = []
  for c in text:
    if c in _SIGNS:
      out.append(_SIGNS[c])
    elif ' ' <= c <= '~':
      out.append(c)
    elif (digit := unicodedata.decimal(c, None)) is not None:
      out.append(str(digit))
    elif (value := unicodedata.numeric(c, None)) is not None and 'FRACTION' in unicodedata.name(c):
      top, bottom = unicodedata.normalize('NFKC', c).split('⁄')
      out.append(f'\\frac{{{top}}}{{{bottom}}}' if value else '')
    elif unicodedata.category(c) in ('Zs', 'Cc'):
      out.append(' ')
    elif unicodedata.category(c) not in ('Cf', 'So', 'Sk', 'Mn'):  # marks that show nothing; emoji
      out.append(unicodedata.normalize('NFKC', c))
  return ''.join(out)


def _as_fraction(match: re.Match[str]) -> str:
  """`0.1\\overline{6}` as `\\recurring{15}{90}`, a fraction that was written as a decimal."""
  whole, before, line, first, between, last, one, several, bracketed = match.groups()
  again = line or bracketed or one or several or first + (between or '') + (last or '')
  before = before or ''
  bottom = 10 ** len(before) * (10 ** len(again) - 1)
  top = int((whole or '0') + before + again) - int((whole or '0') + before)
  return f'\\recurring{{{top}}}{{{bottom}}}'


def _without_markdown(text: str) -> str:
  while text:
    for mark in ('**', '__', '$$', '```', '`', '$', '*', '_'):
      if len(text) > 2 * len(mark) and text.startswith(mark) and text.endswith(mark):
        inner = text[len(mark):-len(mark)]
        if mark not in inner:
          text = inner.strip()
          break
    else:
      return text
  return text


def _marked(text: str) -> str:
  return _WORD.sub(lambda m: WORD + m[0], text)
