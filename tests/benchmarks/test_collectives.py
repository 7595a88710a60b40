"""Collectives and products are counted as one counts them by hand."""

import jax
import jax.numpy as jnp
import pytest
from collectives import Collective, collectives, product_flops

PROGRAM = """HloModule step

%add (a: f32[], b: f32[]) -> f32[] {
  ROOT %sum = f32[] add(%a, %b)
}

%inner (x: f32[4]) -> f32[4] {
  ROOT %all-gather.7 = bf16[8,3]{1,0} all-gather(bf16[4,3]{1,0} %y), dimensions={0}
}

%body (p: (f32[4])) -> (f32[4]) {
  %c = f32[4]{0} call(%x), to_apply=%inner
}

%condition (p: (f32[4])) -> pred[] {
  ROOT %less = pred[] compare(%i, %n), direction=LT
}

ENTRY %main (x: f32[4]) -> f32[4] {
  %all-reduce.1 = (f32[10,2]{1,0}, /*index=1*/f32[]) all-reduce(f32[10,2]{1,0} %g, f32[] %l), to_apply=%add
  %start = (f32[5]{0}, f32[5]{0}) all-reduce-start(f32[5]{0} %g), to_apply=%add
  %w = (f32[4]) while(%t), condition=%condition, body=%body
  %p = pred[6]{0} collective-permute(pred[6]{0} %q), source_target_pairs={{0,1}}
}
"""


def test_kinds_bytes_and_loops_are_read():
    found = collectives(PROGRAM)
    assert Collective("all-reduce", 4 * 21, False) in found
    assert Collective("all-gather", 2 * 24, True) in found
    assert Collective("collective-permute", 6, False) in found
    assert [one.kind for one in found].count("all-reduce") == 2 and len(found) == 4


def test_products_count_twice_their_multiplications_and_as_often_as_a_loop_turns():
    a, b = jnp.ones((3, 4)), jnp.ones((4, 5))
    assert product_flops(lambda a, b: a @ b, a, b) == 2 * 3 * 4 * 5

    def looped(y, w):
        return jax.lax.scan(lambda y, _: (jnp.tanh(y @ w), None), y, None, length=7)[0]

    square = jnp.ones((4, 4))
    assert product_flops(jax.jit(looped), a, square) == 7 * 2 * 3 * 4 * 4
    assert product_flops(
        lambda y, w: jax.lax.cond(y[0, 0] > 0, looped, lambda y, w: y @ w, y, w), a, square
    ) == (7 * 2 * 3 * 4 * 4)
    gradient = product_flops(jax.grad(lambda w: looped(a, w).sum()), square)
    assert gradient == pytest.approx(3 * 7 * 2 * 3 * 4 * 4)
