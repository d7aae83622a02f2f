"""A made-up run: records of a latent-skill model, in the layout that the stages write.

A question has a skill s; a step is right with chance s**(1/steps); the answer is right if every
step is, else one of a few wrong ones, the likelier the fewer the steps. The verifier sees the steps
so far with noise. Token counts obey the ledger's identity by construction.
"""

from __future__ import annotations

import pathlib

import numpy as np

from tts.eval.storage import records

STEPS, STEP_TOKENS, PROMPT = 4, 5, 9


def arch(width: int = 32) -> dict:
  return {'vocab_size': 32, 'num_layers': 2, 'width': width, 'num_heads': 2, 'num_kv_heads': 1,
          'head_size': 16, 'mlp_width': 4 * width, 'activation': 'relu2', 'gated': False,
          'tied': True}


def counts(prompt: int, own: int, last: int) -> dict:
  entered = own - last
  context = sum(range(prompt + 1)) + sum(PROMPT + i + 1 for i in range(entered))
  return {'prompt': prompt, 'kept': own, 'pruned': 0, 'simulated': 0, 'reencoded': 0, 'last': last,
          'entered': prompt + entered, 'attended': context if prompt else (
              sum(PROMPT + i + 1 for i in range(entered)))}


def row(rng, question: int, skill: float, slot: int, *, stream='test', model='base',
        strategy='sample', budget=16, beam_width=None, scored=('prm', 'orm'), guide=None) -> dict:
  """One sample of one question, scored by verifiers, or found by a search that `guide` guided."""
  gold = str(100 + question)
  right = rng.random(STEPS) < skill ** (1 / STEPS)
  truncated = bool(rng.random() < 0.04)
  wrong = str(200 + question + int(rng.geometric(0.5)))
  answer = None if truncated else gold if right.all() else wrong
  length = STEPS * STEP_TOKENS
  so_far = np.cumprod(right) * skill ** ((STEPS - 1 - np.arange(STEPS)) / STEPS)
  squash = lambda logit: [float(np.float32(1 / (1 + np.exp(-x)))) for x in logit]
  out = {
      'split': 'test', 'stream': stream, 'model': model, 'problem_id': f'q{question:04d}',
      'strategy': strategy, 'theta': {'beam_width': beam_width, 'lookahead': None},
      'budget': budget, 'seed': 0, 'repeat': 0, 'slot': slot,
      'tokens': rng.integers(4, 32, length).tolist(),
      'step_ends': [STEP_TOKENS * (i + 1) for i in range(STEPS)], 'step_scores': None,
      'answer': answer, 'truncated': truncated, 'correct': answer == gold, 'answer_score': None,
      'verifier': guide, 'other_scores': {},
      'logprob': float(-3 + 2 * right.all() + rng.normal(0, 1)),
      'level': question % 5 + 1, 'context': [],
      'counts': {model: counts(PROMPT * (slot == 0), length, 1)}}
  for name in (guide,) if guide else scored:
    noise = 2 + ('_' in name)  # prm_plain and orm_more know less
    if name.startswith('orm'):
      out['other_scores'][name] = squash([2 * right.all() - 1 + rng.normal(0, noise)])
    else:
      values = squash(4 * so_far - 2 + rng.normal(0, noise, STEPS))
      if name in ('prm', guide):
        out['step_scores'], out['answer_score'] = values, values[-1]
      else:
        out['other_scores'][name] = values
    out['counts'][name] = counts(PROMPT * (slot == 0), length, 0)
  return out


def write_setting(workdir, folder: str, questions: int, block: int, make) -> None:
  """Blocks of `make(question, skill)`, which gives a question's rows, and their timings."""
  skills = np.random.default_rng(0).beta(0.8, 0.8, questions) * 0.9 + 0.05
  for number, first in enumerate(range(0, questions, block)):
    inside = range(first, min(first + block, questions))
    rows = [r for q in inside for r in make(q, skills[q])]
    name = f'{folder}/block-{number:05d}'
    records.write_json(workdir / f'timings/{name}.json',
                       {'seconds': 0.25, 'questions': len(inside)})
    records.write_block(workdir / f'records/{name}.jsonl.gz', rows)


def write_run(workdir, *, questions=60, pool=16, difficulty=32, beams=((2, 4), (4, 4), (4, 16)),
              verifiers=('prm', 'orm'), large=True, larger_pool=0, deep=0, seed=0) -> pathlib.Path:
  """A workdir as `reproduce` leaves it; without a pool, with no search records.

  `deep` questions have a pool and a beam search of four times the width. `larger_pool` samples a
  question are written of `large`, and as many and greedy answers of `mid`, scored by the PRM.
  """
  workdir = pathlib.Path(workdir)
  rng = np.random.default_rng(seed)
  records.write_json(workdir / 'run.json', {
      'config': {'name': 'synthetic'}, 'config_hash': 'abc', 'versions': {'jax': '0'},
      'device': '1 x made-up (cpu)', 'seeds': [seed]})
  for i, stage in enumerate(('data', 'base', 'labels', 'verifiers', 'search', 'difficulty')):
    records.write_json(workdir / f'stages/{stage}.json', {
        'stage': stage, 'wall_seconds': 10.0 + 7 * i, 'cpu_seconds': 20.0,
        'budget_seconds': 20 + 6 * i, 'peak_rss_bytes': 10**9})
  larger = ['mid'] * bool(larger_pool) + ['large'] * large
  for name in ('base', *larger, *verifiers):
    kind = name if name in verifiers else 'lm'
    width = {'mid': 64, 'large': 112}.get(name, 32)
    records.write_json(workdir / f'models/{name}/model.json', {
        'kind': kind, 'arch': arch(width), 'params': 25 * width**2,
        'metrics': {'tokens': 10**6, **({'val_loss': 0.5} if kind == 'lm' else {'val_bce': 0.4})}})
  if pool:
    write_pool(workdir, rng, questions, pool, verifiers)
    write_setting(workdir, 'search/greedy-n1', questions, 25, lambda q, s: [
        row(rng, q, s, 0, strategy='greedy', budget=1, scored=())])
    if large:
      write_setting(workdir, 'search/large-greedy-n1', questions, 25, lambda q, s: [
          row(rng, q, s**0.3, 0, strategy='greedy', budget=1, model='large', scored=())])
    for name, ease in (('mid', 0.6), ('large', 0.3)) if larger_pool else ():
      write_larger(workdir, rng, questions, name, ease, larger_pool)
    for guide in (v for v in verifiers if v.startswith('prm')):
      for width, budget in beams:
        write_beam(workdir, rng, questions, guide, width, budget)
      if deep:
        write_beam(workdir, rng, deep, guide, 4, 4 * pool)
    if deep:
      write_pool(workdir, rng, deep, 4 * pool, verifiers)
  if difficulty:
    write_setting(workdir, f'difficulty/sample-n{difficulty}', questions, 25, lambda q, s: [
        row(rng, q, s, i, stream='difficulty', budget=difficulty, scored=('prm',))
        for i in range(difficulty)])
  write_tree(workdir, rng)
  return workdir


def write_pool(workdir, rng, questions, pool, verifiers) -> None:
  write_setting(workdir, f'search/sample-n{pool}', questions, 25, lambda q, s: [
      row(rng, q, s, i, budget=pool, scored=verifiers) for i in range(pool)])


def write_larger(workdir, rng, questions, name, ease, pool) -> None:
  if name != 'large':
    write_setting(workdir, f'search/{name}-greedy-n1', questions, 25, lambda q, s: [
        row(rng, q, s**ease, 0, strategy='greedy', budget=1, model=name, scored=())])
  write_setting(workdir, f'search/{name}-sample-n{pool}', questions, 25, lambda q, s: [
      row(rng, q, s**ease, i, budget=pool, model=name, scored=('prm',)) for i in range(pool)])


def write_beam(workdir, rng, questions, guide, width, budget) -> None:
  name = '' if guide == 'prm' else f'{guide}-'
  write_setting(workdir, f'search/{name}beam-m{width}-n{budget}', questions, 25, lambda q, s: [
      row(rng, q, s**0.7, i, strategy='beam', budget=budget, beam_width=width, guide=guide)
      for i in range(0, budget, 1 + q % 2)])


def write_revisions(workdir, questions=40, pools=((2, 4), (8, 2)), gain=0.1, seed=1) -> None:
  """Pools of chains whose answers get better as they go on, the control's, and their models."""
  rng = np.random.default_rng(seed)
  judges = ('revision_orm', 'revision_orm_alone')
  for name in ('revision', 'revision_control', *judges, 'control_orm'):
    records.write_json(workdir / f'models/{name}/model.json', {
        'kind': name if 'orm' in name else 'lm', 'arch': arch(), 'params': 25 * 32**2,
        'metrics': {'tokens': 10**6}})

  def answers(q, s, chains, length):
    for slot in range(chains * length):
      turn = slot % length
      made = row(rng, q, min(s + gain * turn, 0.98), slot, model='revision', strategy='chains',
                 budget=chains * length, scored=('prm', 'orm'))
      made['theta'] = made['theta'] | {'chain_length': length}
      made['context'] = list(range(slot - turn, slot))[-4:]
      score, = made['other_scores'].pop('orm')
      spent = made['counts'].pop('orm')
      made['other_scores'] = {'revision_orm': [score], 'revision_orm_alone': [score**2]}
      made['counts'] |= dict.fromkeys(judges, spent)
      if turn:
        spent = made['counts']['revision']
        spent |= {'reencoded': PROMPT + 1, 'entered': spent['entered'] + PROMPT + 1}
      yield made

  for chains, length in pools:
    write_setting(workdir, f'revise/revision-chains-l{length}-n{chains * length}', questions, 20,
                  lambda q, s: answers(q, s, chains, length))

  def control(q, s, num):
    for slot in range(num):
      made = row(rng, q, s, slot, model='revision_control', budget=num)
      made['other_scores'] = {'control_orm': made['other_scores']['orm']}
      made['counts']['control_orm'] = made['counts'].pop('orm')
      yield made

  def searched(q, s):
    for slot in range(14):  # of 16, two of which are the answers in context
      made = row(rng, q, min(s + gain, 0.98), slot, stream='proposal', model='revision',
                 strategy='beam', budget=16, beam_width=4, guide='prm')
      made['theta'] = made['theta'] | {'chain_length': 2}
      yield made

  write_setting(workdir, 'revise/revision-beam-m4-l2-n16', questions, 20, searched)
  most = max(chains * length for chains, length in pools)
  write_setting(workdir, f'revise/revision_control-sample-n{most}', questions, 20,
                lambda q, s: control(q, s, most))


def write_tree(workdir, rng, name: str = 'q0000-beam-m4-n16') -> None:
  """A search of 16 rows, 4 kept a round, with every kind of node."""
  nodes, alive = [], [(None, i) for i in range(16)]
  for depth in range(4):
    last = depth == 3
    made = []
    for parent, slot in alive:
      done = last or (depth == 2 and slot % 7 == 0)
      status = ('truncated' if done and slot == 5 else 'finished') if done else 'pruned'
      text = (f'#### {100 if rng.random() < 0.6 else 107}' if done
              else f'{rng.integers(2, 30)} + {rng.integers(2, 30)} = {rng.integers(10, 99)}')
      nodes.append({'id': len(nodes), 'parent': parent, 'round': depth, 'slot': slot,
                    'text': text, 'score': float(np.float32(rng.random())), 'tokens': 5,
                    'status': status})
      made.append(nodes[-1])
    kept = sorted((n for n in made if n['status'] == 'pruned'), key=lambda n: -n['score'])[:4]
    for node in kept:
      node['status'] = 'kept'
    alive = [(n['id'], 4 * i + j) for i, n in enumerate(kept) for j in range(4)]
  records.write_json(workdir / f'trees/{name}.json', {
      'problem_id': 'q0000', 'prompt': 'Compute ((3 + 4) * 5) - <2> & go on:\n', 'answer': '100',
      'strategy': 'beam', 'theta': {'beam_width': 4, 'lookahead': None}, 'budget': 16,
      'winner': '100', 'nodes': nodes})
