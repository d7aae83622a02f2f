"""The formula by hand, and the ledger's identity."""

from tests.eval import synthetic
from tts.eval import flops
from tts.eval.ledger import Ledger, ledger_ratio

ARCH = {'vocab_size': 11, 'num_layers': 3, 'width': 6, 'num_heads': 4, 'num_kv_heads': 2,
        'head_size': 5, 'mlp_width': 7, 'gated': False}


def test_a_hand_counted_model():
  q, kv, o, mlp = 6 * 20, 2 * 6 * 10, 20 * 6, 2 * 6 * 7
  assert flops.per_token(ARCH) == 2 * 3 * (q + kv + o + mlp)
  assert flops.per_token({**ARCH, 'gated': True}) == 2 * 3 * (q + kv + o + 3 * 6 * 7)
  assert flops.per_key(ARCH) == 3 * (2 * 20 + 2 * 20)
  assert flops.per_output(ARCH, 'lm') == 2 * 6 * 11
  assert flops.per_output(ARCH, 'prm') == flops.per_output(ARCH, 'orm') == 2 * 6


def test_a_full_forward_is_every_product():
  expected = (4 * 9 * flops.per_token(ARCH) + 4 * 9 * 9 * flops.per_key(ARCH) + 4 * 9 * 2 * 66)
  assert flops.full_forward(ARCH, 'lm', 4, 9) == expected


def test_logits_are_charged_per_sampled_token_and_values_per_token_read():
  counts = {'kept': 5, 'pruned': 2, 'simulated': 1, 'entered': 10, 'attended': 40}
  body = 10 * flops.per_token(ARCH) + 40 * flops.per_key(ARCH)
  assert flops.counted(ARCH, 'lm', counts) == body + 8 * 132
  assert flops.counted(ARCH, 'prm', counts) == body + 10 * 12


def test_sums_are_exact_where_doubles_and_64_bits_are_not():
  counts = {'kept': 0, 'pruned': 0, 'simulated': 0, 'entered': 10**19 + 1, 'attended': 0}
  assert flops.counted(ARCH, 'lm', counts) == (10**19 + 1) * flops.per_token(ARCH)


def test_ledger_sums_and_ratio():
  ledger = Ledger()
  for slot in (0, 1):
    ledger.add('search', {'counts': {'base': synthetic.counts(9 * (slot == 0), 20, 1)}})
  table = ledger.table({'base': {'arch': ARCH, 'kind': 'lm'}})['search']['base']
  assert (table['prompt'], table['kept'], table['last'], table['entered']) == (9, 40, 2, 47)
  assert table['ratio'] == 1 and table['flops'] == flops.counted(ARCH, 'lm', table)
  assert ledger.table({})['search']['base']['flops'] is None


def test_a_lost_token_shows_in_the_ratio():
  entry = synthetic.counts(9, 2000, 1)
  assert ledger_ratio(entry) == 1
  assert ledger_ratio({**entry, 'pruned': 10}) < 0.9955
  assert ledger_ratio(dict.fromkeys(entry, 0)) is None
