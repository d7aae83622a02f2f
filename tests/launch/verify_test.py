"""`launch.verify`: a run's verifier says of a file of steps what it said when they were written."""

import json

import numpy as np
import pytest

import tts
from tts.eval.measures import first_errors

QUESTIONS = ['3;+4', '5;+2;-1', '7;*2;+3', '1;+1']


@pytest.mark.slow
def test_a_file_of_steps_gives_the_values_of_the_search(launcher, smoke, tmp_path):
  base, prm = (str(smoke / 'models' / name) for name in ('base', 'prm'))
  generator, verifier = tts.load_generator(base), tts.load_verifier(prm)
  lines, values = [], []
  for text, result in zip(QUESTIONS, tts.sample(generator, QUESTIONS, 8, verifier=verifier,
                                                temperature=1.5, progress=False)):
    for n, solution in enumerate(result.solutions):
      steps = solution.text.rstrip('\n').split('\n')
      if (solution.finished and len(steps) == len(solution.step_scores) and all(steps)
          and '⁇' not in solution.text
          and len(generator.tokenizer.encode_solution(solution.text)) == solution.num_tokens):
        lines.append({'problem': text, 'steps': steps, 'label': n % (len(steps) + 1) - 1})
        values.append(np.array(solution.step_scores, float))
  assert len(lines) > 10
  file, out = tmp_path / 'f.jsonl', tmp_path / 'out.json'
  file.write_text(''.join(json.dumps(line) + '\n' for line in lines))
  done = launcher.ok('verify', f'--samples={file}', f'--verifier={prm}', f'--output={out}',
                     '--threshold=0.7')
  found, label = json.loads(out.read_text()), np.array([line['label'] for line in lines])
  assert list(map(len, found['values'])) == list(map(len, values))
  assert np.concatenate(found['values']) == pytest.approx(np.concatenate(values), abs=1e-5)
  group = np.array([QUESTIONS.index(line['problem']) for line in lines])
  wanted = first_errors.describe([np.array(v) for v in found.pop('values')], label, label == -1,
                                 np.unique(group, return_inverse=True)[1], 0.7)
  assert {name: found[name] for name in wanted} == wanted
  assert f'F1 {found["f1"]:.3f}' in done.stdout
  launcher.ok('verify', f'--samples={file}', f'--generator={base}')  # its log-probability


@pytest.mark.parametrize('flags,why', [
    ((), '--samples is missing'), (('--samples=/nowhere',), '--verifier is missing'),
    (('--samples=/nowhere', '--verifier=v'), 'cannot read /nowhere')])
def test_a_mistake_is_one_line(launcher, flags, why):
  assert why in launcher.error('verify', *flags)
