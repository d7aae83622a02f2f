"""What is read off compiled HLO: which devices talk in how many loops, and what memory moves."""

from tts import parallel
from tts.estimates import hlo
from tts.estimates.hlo import Collective

TEXT = '''HloModule jit_mapped, num_partitions=8

%add (a: f32[], b: f32[]) -> f32[] {
  ROOT %sum = f32[] add(%a, %b)
}

%inner_cond (c: (s32[])) -> pred[] {
  ROOT %less = pred[] compare(%x, %y), direction=LT
}

%inner (c: (s32[])) -> (s32[]) {
  %ar = (f32[4,2]{1,0:T(8,128)S(1)}, bf16[3]{0}) all-reduce(%p, %q), replica_groups=[4,2]<=[8]
  ROOT %t = (s32[]) tuple(%i)
}

%fused (p: f32[2]) -> f32[2] {
  ROOT %cp = f32[2]{0} collective-permute(%p), source_target_pairs={{0,2},{2,4}}
}

%outer (c: (s32[])) -> (s32[]) {
  %w = (s32[]) while(%c), condition=%inner_cond, body=%inner
  %f = f32[2] fusion(%p), kind=kCustom, calls=%fused
  ROOT %t2 = (s32[]) tuple(%i)
}

ENTRY %main (p: f32[2]) -> f32[8] {
  %w2 = (s32[]) while(%c), condition=%inner_cond, body=%outer
  %s = (f32[2]{0}, f32[8]{0}, u32[]) all-gather-start(%p), replica_groups=[2,4]<=[4,2]T(1,0)
  %d = f32[8]{0} all-gather-done(%s)
  %m = pred[16]{0} all-reduce(%p), replica_groups={{0,1,2,3},{4,5,6,7}}, to_apply=%add
  ROOT %all = f32[] all-reduce(%p), replica_groups={}, to_apply=%add
}
'''


def test_collectives_by_axis_and_loop():
  """A device is 2 d + m: d over `data`, m over `model`."""
  found = hlo.collectives(hlo.parsed(TEXT), parallel.make_mesh(4, 2))
  assert set(found) == {
      Collective('all-reduce', 'model', depth=2, count=1, bytes=4 * 2 * 4 + 3 * 2),
      Collective('collective-permute', 'data', depth=1, count=1, bytes=8),
      Collective('all-gather', 'data', depth=0, count=1, bytes=32),
      Collective('all-reduce', 'data+model', depth=0, count=2, bytes=16 + 4)}


def test_groups_of_one_device_are_of_no_axis():
  line = '  %x = f32[1] all-reduce(%p), replica_groups=[8,1]<=[8], to_apply=%add\n}'
  found, = hlo.collectives(hlo.parsed(f'ENTRY %main (p: f32[2]) -> f32[8] {{\n{line}'),
                           parallel.make_mesh(4, 2))
  assert found.axis == 'none'


MOVES = '''HloModule m

%sliced (a: bf16[8,64], i: s32[]) -> f32[64] {
  %a = bf16[8,64]{1,0} parameter(0)
  %i = s32[] parameter(1)
  %one = bf16[1,64]{1,0} dynamic-slice(%a, %i, %zero), dynamic_slice_sizes={1,64}
  %flat = bf16[64]{0} bitcast(%one)
  ROOT %wide = f32[64]{0} convert(%flat)
}

%renamed (b: bf16[8,64]) -> bf16[512] {
  %b = bf16[8,64]{1,0} parameter(0)
  ROOT %r = bf16[512]{0} bitcast(%b)
}

%summed (c: bf16[8,64]) -> f32[] {
  %c = bf16[8,64]{1,0} parameter(0)
  %in = bf16[512]{0} fusion(%c), kind=kLoop, calls=%renamed
  ROOT %s = f32[] reduce(%in, %zero), to_apply=%add
}

%placed (old: f32[100,64], new: f32[64], i: s32[]) -> f32[100,64] {
  %old = f32[100,64]{1,0} parameter(0)
  %new = f32[64]{0} parameter(1)
  %i = s32[] parameter(2)
  %row = f32[1,64]{1,0} bitcast(%new)
  ROOT %u = f32[100,64]{1,0} dynamic-update-slice(%old, %row, %i, %zero)
}

%body (carry: (f32[100,64])) -> (f32[100,64]) {
  %carry = (f32[100,64]{1,0}, bf16[8,64]{1,0}, s32[]) parameter(0)
  %all = f32[100,64]{1,0} get-tuple-element(%carry), index=0
  %table = bf16[8,64]{1,0} get-tuple-element(%carry), index=1
  %i = s32[] get-tuple-element(%carry), index=2
  %row = f32[64]{0:T(128)S(1)} fusion(%table, %i), kind=kLoop, calls=%sliced
  %sum = f32[] fusion(%table), kind=kLoop, calls=%summed
  %next = f32[100,64]{1,0} fusion(%all, %row, %i), kind=kLoop, calls=%placed
  ROOT %t = (f32[100,64]{1,0}, bf16[8,64]{1,0}, s32[]) tuple(%next, %table, %i)
}

ENTRY %main (p: f32[100,64], q: bf16[8,64]) -> (f32[100,64]) {
  %p = f32[100,64]{1,0} parameter(0)
  %q = bf16[8,64]{1,0} parameter(1)
  %early = (bf16[8,64]{1,0:T(8,128)S(1)}, bf16[8,64]{1,0}, u32[]) copy-start(%q)
  %near = bf16[8,64]{1,0:T(8,128)S(1)} copy-done(%early)
  %begin = (f32[100,64]{1,0}, bf16[8,64]{1,0}, s32[]) tuple(%p, %near, %zero)
  ROOT %w = (f32[100,64]{1,0}, bf16[8,64]{1,0}, s32[]) while(%begin), condition=%c, body=%body
}
'''


def test_bytes_of_main_memory_by_hand():
  """A slice, a whole table read in a fusion of a fusion, an update in place, a copy nearer by."""
  index = 4
  want = {
      'early': 8 * 64 * 2,             # what is fetched; what it becomes is not in main memory
      'row': 64 * 2 + index,           # of the table one row
      'sum': 8 * 64 * 2 + 4,
      'next': 64 * 4 + index}          # the row is near by; one is written
  text = hlo.parsed(MOVES)
  assert hlo.moved(text) == sum(want.values())
  counted = MOVES.replace('ENTRY', '''%c (carry: (f32[100,64])) -> pred[] {
  %most = s32[] constant(7)
  ROOT %go = pred[] compare(%i, %most), direction=LT
}

ENTRY''')
  again = sum(want.values()) - want['early'] + 5  # what is compared, and a flag
  assert hlo.moved(hlo.parsed(counted)) == want['early'] + 7 * again
  near = MOVES.replace('%table = bf16[8,64]{1,0}', '%table = bf16[8,64]{1,0:T(8,128)S(1)}')
  assert hlo.moved(hlo.parsed(near)) == want['early'] + want['next'] + index + 4
