"""Tests of reading collectives, on handwritten HLO in every form of the compilers."""

import pytest

from keras_vatt.planning._collectives import read_collectives, ring_bytes, summarize

pytestmark = pytest.mark.once

HEADER = "HloModule jit_step, is_scheduled=true, replica_count=1, num_partitions=8\n\n"
ADD = """
%add (x: f32[], y: f32[]) -> f32[] {
  %x = f32[] parameter(0)
  %y = f32[] parameter(1)
  ROOT %sum = f32[] add(%x, %y)
}
"""


def program(*lines, before=""):
    body = "\n".join(f"  {line}" for line in lines)
    entry = "ENTRY %main_spmd (p: f32[8,4]) -> f32[] {\n" + body + "\n}\n"
    return HEADER + ADD + before + "\n" + entry


def only(*lines, **keywords):
    (collective,) = read_collectives(program(*lines, **keywords))
    return collective


def test_all_reduce():
    found = only(
        "%ar.1 = f32[256,4]{1,0:T(8,128)S(1)} all-reduce(%p), channel_id=1, "
        "replica_groups={{0,1,2,3},{4,5,6,7}}, use_global_device_ids=true, "
        "to_apply=%add"
    )
    assert (found.kind, found.dtypes, found.group_size) == ("all-reduce", ("f32",), 4)
    assert found.result_bytes == 256 * 4 * 4
    assert found.sent_bytes == 2 * 3 / 4 * 4096
    assert found.count == 1
    assert found.count_is_known


def test_combined_all_reduce_with_a_tuple_and_comments_in_it():
    found = only(
        "%ar = (bf16[2,8]{1,0:T(2,128)(2,1)S(1)}, f32[]{:T(128)}, /*index=2*/f32[3,5]"
        "{1,0}) all-reduce(%a, %b, %c), replica_groups={}, to_apply=%add"
    )
    assert found.result_bytes == 2 * 16 + 4 + 60
    assert found.dtypes == ("bf16", "f32")
    assert found.group_size == 8


def test_reduce_scatter_counts_the_whole_tensor():
    found = only(
        "%rs = f32[128]{0} reduce-scatter(%p), replica_groups=[1,8]<=[8], "
        "dimensions={0}, to_apply=%add"
    )
    assert found.result_bytes == 512
    assert found.full_bytes == 8 * 512
    assert found.sent_bytes == 7 * 512


def test_all_gather_of_a_group_in_iota_form():
    found = only(
        "ROOT %ag = bf16[64,2]{1,0} all-gather(%p), "
        "replica_groups=[4,2]<=[2,4]T(1,0), dimensions={0}"
    )
    assert found.group_size == 2
    assert found.sent_bytes == 1 / 2 * 256


@pytest.mark.parametrize(
    ("axes", "size"), [("'a'", 2), ("'b'", 4), ("'a','b'", 8), ("'b':(1)2", 2)]
)
def test_groups_along_the_axes_of_a_mesh(axes, size):
    groups = "mesh['a'=2,'b'=4] {" + axes + "}"
    found = only(f"%ar = f32[4]{{0}} all-reduce(%p), replica_groups={groups}")
    assert found.group_size == size


def test_all_to_all_of_a_tuple():
    found = only(
        "%aa = (f32[4]{0}, f32[4]{0}) all-to-all(%p, %q), replica_groups={{0,1}}"
    )
    assert found.sent_bytes == 1 / 2 * 32


def test_collective_permute_sends_all_it_has():
    pairs = "source_target_pairs={{0,1},{1,0}}"
    found = only(f"%cp = f32[4]{{0}} collective-permute(%p), {pairs}")
    assert found.sent_bytes == 16
    started = only(
        "%cp = (f32[4]{0}, f32[4]{0}, u32[]{:S(2)}, u32[]{:S(2)}) "
        f"collective-permute-start(%p), {pairs}",
        "%d = f32[4]{0} collective-permute-done(%cp)",
    )
    assert started.sent_bytes == 16


def test_starts_count_their_results_alone_and_dones_nothing():
    groups = "replica_groups={{0,1,2,3}}"
    gather = only(
        f"%s = (f32[2]{{0}}, f32[8]{{0}}) all-gather-start(%p), {groups}",
        "%d = f32[8]{0} all-gather-done(%s)",
    )
    assert gather.result_bytes == 32
    gathers = only(
        "%s = ((f32[2]{0}, f32[1]{0}), (f32[8]{0}, f32[4]{0})) "
        f"all-gather-start(%p, %q), {groups}"
    )
    assert gathers.result_bytes == 48
    reduce = only(
        f"%s = f32[8]{{0}} all-reduce-start(%p), {groups}, to_apply=%add",
        "%d = f32[8]{0} all-reduce-done(%s)",
    )
    assert reduce.result_bytes == 32
    reduces = only(
        f"%s = (f32[8]{{0}}, f32[2]{{0}}) all-reduce-start(%p, %q), {groups}"
    )
    assert reduces.result_bytes == 40
    scatter = only(
        "%s = ((f32[8]{0}), f32[2]{0}, s32[]) reduce-scatter-start(%p), " + groups
    )
    assert scatter.result_bytes == 8
    assert scatter.full_bytes == 32


def test_a_start_that_wraps_a_computation():
    wrapped = """
%async_computation (q: f32[8]) -> f32[2] {
  %q = f32[8]{0} parameter(0)
  ROOT %rs = f32[2]{0} reduce-scatter(%q), replica_groups={{0,1,2,3}}, to_apply=%add
}
"""
    found = only(
        "%s = ((f32[8]{0}), f32[2]{0}, u32[]) async-start(%p), "
        "calls=%async_computation",
        "%d = f32[2]{0} async-done(%s)",
        before=wrapped,
    )
    assert found.sent_bytes == 3 / 4 * 32


def test_parts_of_one_collective_that_is_fused_with_other_work_count_once():
    """Follows the TPU compiler, which prints the whole collective in every part."""
    part = (
        "%%ag.%d = bf16[8]{0} all-gather(%%q), channel_id=%d, replica_groups={}, "
        'frontend_attributes={chain_id="%d"}'
    )

    def fused(number, channel, chain):
        return (
            f"\n%fused.{number} (q: bf16[1]) -> bf16[8] {{\n"
            "  %q = bf16[1]{0} parameter(0)\n"
            f"  ROOT {part % (number, channel, chain)}\n}}\n"
        )

    computations = [fused(0, 4, 0), fused(1, 4, 0), fused(2, 4, 0), fused(3, 9, 1)]
    calls = [
        f"%f.{n} = bf16[8]{{0}} fusion(%p), kind=kCustom, calls=%fused.{n}"
        for n in range(4)
    ]
    found = read_collectives(program(*calls, before="".join(computations)))
    assert [collective.name for collective in found] == ["ag.0", "ag.3"]


LOOP = """
%body (s: (s32[], f32[8])) -> (s32[], f32[8]) {
  %s = (s32[], f32[8]{0}) parameter(0)
  %v = f32[8]{0} get-tuple-element(%s), index=1
  %ar = f32[8]{0} all-reduce(%v), replica_groups={}, to_apply=%add
  ROOT %t = (s32[], f32[8]{0}) tuple(%i, %ar)
}

%condition (s: (s32[], f32[8])) -> pred[] {
  %s = (s32[], f32[8]{0}) parameter(0)
  ROOT %less = pred[] compare(%i, %n), direction=LT
}
"""
CALL_LOOP = "%w = (s32[], f32[8]{0}) while(%t), condition=%condition, body=%body"


def test_a_loop_counts_as_often_as_it_goes_round():
    found = only(
        CALL_LOOP + ', backend_config={"known_trip_count":{"n":"12"},"x":{}}',
        before=LOOP,
    )
    assert found.count == 12
    assert found.count_is_known
    assert found.sent_bytes == 12 * 2 * 7 / 8 * 32


def test_a_loop_of_unknown_length_counts_once_and_says_so():
    found = only(CALL_LOOP, before=LOOP)
    assert found.count == 1
    assert not found.count_is_known


def test_loops_in_loops_multiply():
    outer = """
%outer (s: (s32[], f32[8])) -> (s32[], f32[8]) {
  %s = (s32[], f32[8]{0}) parameter(0)
  ROOT %inner = (s32[], f32[8]{0}) while(%s), condition=%condition, body=%body, \
backend_config={"known_trip_count":{"n":"3"}}
}
"""
    found = only(
        "%w = (s32[], f32[8]{0}) while(%t), condition=%condition, body=%outer, "
        'backend_config={"known_trip_count":{"n":"5"}}',
        before=LOOP + outer,
    )
    assert found.count == 15


def test_both_branches_of_a_conditional_count():
    branches = ""
    for name in ("yes", "no"):
        branches += (
            f"\n%{name} (q: f32[8]) -> f32[8] {{\n  %q = f32[8]{{0}} parameter(0)\n"
            f"  ROOT %{name}.ar = f32[8]{{0}} all-reduce(%q), replica_groups={{}}, "
            "to_apply=%add\n}\n"
        )
    found = read_collectives(
        program(
            "%c = f32[8]{0} conditional(%i, %p, %p), branch_computations={%yes, %no}",
            before=branches,
        )
    )
    assert [collective.name for collective in found] == ["yes.ar", "no.ar"]


def test_what_nothing_calls_does_not_count():
    assert read_collectives(program("%x = f32[] constant(0)", before=LOOP)) == []


def test_names_and_metadata_are_no_collectives():
    text = program(
        "%all-reduce.fusion = f32[8]{0} fusion(%p), kind=kLoop, calls=%add, "
        'metadata={op_name="jit(step)/all-reduce(x)"}',
        "%get = f32[8]{0} get-tuple-element(%all-reduce.1), index=0",
    )
    assert read_collectives(text) == []


@pytest.mark.parametrize(
    ("dtype", "size"),
    [("pred", 1), ("s4", 0.5), ("u8", 1), ("f8e4m3fn", 1), ("bf16", 2), ("c64", 8)],
)
def test_width_of_a_dtype(dtype, size):
    found = only(f"%ar = {dtype}[100]{{0}} all-reduce(%p), replica_groups={{}}")
    assert found.result_bytes == 100 * size


def test_ring_bytes():
    assert ring_bytes("all-reduce", 800, 8) == 2 * 7 / 8 * 800
    assert ring_bytes("all-gather", 800, 8) == 7 / 8 * 800
    assert ring_bytes("reduce-scatter", 800, 8) == 7 / 8 * 800
    assert ring_bytes("all-reduce", 800, 1) == 0


def test_summary_by_kind():
    lines = [
        f"%a.{n} = f32[{n}]{{0}} all-reduce(%p), replica_groups={{{{0,1}}}}"
        for n in (2, 4)
    ]
    lines.append("%g = bf16[8]{0} all-gather(%p), replica_groups={}")
    summary = summarize(read_collectives(program(*lines)))
    assert summary["all-reduce"] == {
        "count": 2,
        "result_bytes": 24,
        "sent_bytes": 24.0,
        "dtypes": ["f32"],
        "group_sizes": [2],
    }
    assert summary["all-gather"]["sent_bytes"] == 7 / 8 * 16
