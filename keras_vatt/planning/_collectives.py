"""Reads the collectives of a compiled program from its HLO text.

XLA prints a compiled program as HLO: a list of computations, each with one instruction
per line. The reader finds collectives by their opcode, in any computation, either as
one instruction or as a pair of start and done, with an array or a tuple as result. A
collective inside a loop counts once per iteration if the number of iterations is in the
program, and once otherwise.
"""

from __future__ import annotations

import collections
import dataclasses
import math
import re
from typing import Any

KINDS = (
    "all-reduce",
    "reduce-scatter",
    "all-gather",
    "all-to-all",
    "ragged-all-to-all",
    "collective-permute",
    "collective-broadcast",
)

_ITEM_BYTES = {"pred": 1, "token": 0, "opaque": 0}
_COMPUTATION = re.compile(r"^(ENTRY )?%?([^\s(]+) \(.*\) -> .*{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?(\S+) = (.*)$")
_OPCODE = re.compile(r"^([a-z][a-z0-9\-]*)\(")
_ARRAY = re.compile(r"\b([a-z]+\d*[a-z0-9]*)\[([\d,<=]*)\]")
_CALLS = re.compile(
    r"\b(calls|to_apply|body|condition|branch_computations|called_computations"
    r"|true_computation|false_computation|async_execution_thread_computation)="
    r"(\{[^}]*\}|%?[^\s,)]+)"
)
_TRIP_COUNT = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_DEVICE_COUNTS = re.compile(r"\b(?:num_partitions|replica_count)=(\d+)")
_CHAIN = re.compile(r'\bchain_id="([^"]*)"')
_CHANNEL = re.compile(r"\bchannel_id=(\d+)")


@dataclasses.dataclass(frozen=True)
class Collective:
    """One collective instruction.

    Attributes:
        kind: string, one of `KINDS`.
        name: string, the name of the instruction.
        dtypes: tuple of strings, the dtypes of the results.
        result_bytes: int, bytes of the results on each device.
        group_size: int, number of devices in a replica group; all devices for a
            `collective-permute`, which has no groups.
        count: int, number of executions per step. Both branches of a conditional
            count.
        count_is_known: bool. `False` if the collective is in a loop whose trip count
            is not in the program; such a loop counts as one iteration.
    """

    kind: str
    name: str
    dtypes: tuple[str, ...]
    result_bytes: int
    group_size: int
    count: int = 1
    count_is_known: bool = True

    @property
    def full_bytes(self) -> int:
        """Bytes of the whole tensor. A reduce-scatter returns only a shard of it."""
        if self.kind == "reduce-scatter":
            return self.result_bytes * self.group_size
        return self.result_bytes

    @property
    def sent_bytes(self) -> float:
        """Bytes that each device sends per step with the ring algorithms.

        With groups of R devices, this is (R-1)/R of the whole tensor; twice that for
        an all-reduce; the whole tensor for a permutation or a broadcast.
        """
        return ring_bytes(self.kind, self.full_bytes, self.group_size) * self.count


def ring_bytes(kind: str, full_bytes: float, group_size: int) -> float:
    """Computes the bytes that each device of a ring sends in one collective.

    Args:
        kind: string, one of `KINDS`.
        full_bytes: number, the bytes of the whole tensor.
        group_size: int, number of devices in the ring.

    Returns:
        float.
    """
    if group_size <= 1:
        return 0.0
    if kind in ("collective-permute", "collective-broadcast"):
        return float(full_bytes)
    fraction = (group_size - 1) / group_size
    return (2 if kind == "all-reduce" else 1) * fraction * full_bytes


def read_collectives(text: str) -> list[Collective]:
    """Returns the collectives of a compiled program.

    Args:
        text: string, the HLO text that `compiled.as_text()` returns.

    Returns:
        List of `Collective`.

    Example:
    ```python
    compiled = jax.jit(step).lower(state, batch).compile()
    sum(c.sent_bytes for c in read_collectives(compiled.as_text()))
    ```
    """
    header = text.partition("\n")[0]
    num_devices = math.prod(int(count) for count in _DEVICE_COUNTS.findall(header))
    computations, entry = _parse(text)
    counts = _execution_counts(computations, entry)
    found, chains = [], set()
    for computation, instructions in computations.items():
        count, is_known = counts[computation]
        for instruction in instructions if count else ():
            kind = instruction.opcode.removesuffix("-start")
            if kind not in KINDS or _is_seen(_chain(instruction), chains):
                continue
            collective = _collective(kind, instruction, num_devices)
            found.append(
                dataclasses.replace(collective, count=count, count_is_known=is_known)
            )
    return found


def summarize(collectives: list[Collective]) -> dict[str, dict[str, Any]]:
    """Sums up the counts and bytes of collectives by kind.

    Args:
        collectives: list of `Collective`.

    Returns:
        Dict from kind to a dict with `"count"`, `"result_bytes"` and `"sent_bytes"`
        (per device and step), and the sorted lists `"dtypes"` and `"group_sizes"`.
    """
    by_kind = {}
    for kind in KINDS:
        own = [c for c in collectives if c.kind == kind]
        if own:
            by_kind[kind] = {
                "count": sum(c.count for c in own),
                "result_bytes": sum(c.result_bytes * c.count for c in own),
                "sent_bytes": sum(c.sent_bytes for c in own),
                "dtypes": sorted({dtype for c in own for dtype in c.dtypes}),
                "group_sizes": sorted({c.group_size for c in own}),
            }
    return by_kind


@dataclasses.dataclass(frozen=True)
class _Instruction:
    name: str
    opcode: str
    shape: str
    rest: str


def _parse(text):
    """Returns the instructions by computation, and the name of the entry."""
    computations, entry, current = {}, None, None
    for line in text.splitlines():
        header = _COMPUTATION.match(line)
        if header:
            current = computations.setdefault(header[2], [])
            entry = header[2] if header[1] else entry
            continue
        match = _INSTRUCTION.match(line)
        if match and current is not None:
            shape, rest = _split_shape(match[2])
            opcode = _OPCODE.match(rest)
            if opcode:
                current.append(_Instruction(match[1], opcode[1], shape, rest))
    return computations, entry


def _split_shape(text):
    """Splits `f32[2]{0} add(...)` after the shape, which may be a tuple with spaces."""
    depth = 0
    for position, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if character == " " and depth == 0:
            return text[:position], text[position + 1 :]
    return text, ""


def _execution_counts(computations, entry):
    """Maps each computation to its executions per step, and whether they are known."""
    callers = collections.defaultdict(list)
    for name, instructions in computations.items():
        for instruction in instructions:
            for callee, factor, is_known in _callees(instruction):
                callers[callee].append((name, factor, is_known))
    counts = {entry: (1, True)}

    def count_of(name):
        if name not in counts:
            calls = [
                (*count_of(caller), factor, known)
                for caller, factor, known in callers[name]
            ]
            counts[name] = (
                sum(count * factor for count, _, factor, _ in calls),
                all(known and own for count, known, _, own in calls if count),
            )
        return counts[name]

    for name in computations:
        count_of(name)
    return counts


def _callees(instruction):
    trips = _TRIP_COUNT.search(instruction.rest)
    factor = int(trips[1]) if trips else 1
    is_loop = instruction.opcode == "while"
    for _, names in _CALLS.findall(instruction.rest):
        for name in names.strip("{}").split(","):
            yield (
                name.strip().lstrip("%"),
                factor if is_loop else 1,
                not is_loop or trips is not None,
            )


def _chain(instruction):
    """Returns the id of the collective that an instruction is a part of, or `None`.

    The TPU compiler splits a collective into parts that it fuses with concurrent
    computation, and prints the whole collective in each part.
    """
    chain = _CHAIN.search(instruction.rest)
    channel = _CHANNEL.search(instruction.rest)
    return (chain[1], channel and channel[1]) if chain else None


def _is_seen(chain, chains):
    if chain is None:
        return False
    seen = chain in chains
    chains.add(chain)
    return seen


def _collective(kind, instruction, num_devices):
    shape = instruction.shape
    if instruction.opcode != kind:
        shape = _result_of_start(kind, shape)
    arrays = _ARRAY.findall(shape)
    return Collective(
        kind=kind,
        name=instruction.name,
        dtypes=tuple(sorted({dtype for dtype, _ in arrays})),
        result_bytes=sum(_array_bytes(*array) for array in arrays),
        group_size=_group_size(kind, instruction.rest, num_devices),
    )


def _result_of_start(kind, shape):
    """Returns the part of a start instruction's shape that holds the results.

    The shape is `(operands, results, contexts...)`, except for `all-reduce-start`,
    whose shape has only the results.
    """
    parts = _tuple_parts(shape)
    wraps_operands = kind != "all-reduce" or shape.startswith("((")
    return parts[1] if wraps_operands and len(parts) > 1 else shape


def _tuple_parts(shape):
    if not shape.startswith("("):
        return [shape]
    parts, depth, start = [], 0, 1
    for position, character in enumerate(shape):
        depth += (character in "([{") - (character in ")]}")
        ends = (character == "," and depth == 1) or (character == ")" and depth == 0)
        if ends:
            parts.append(shape[start:position].strip())
            start = position + 1
    return parts


def _array_bytes(dtype, extents):
    extents = [int(extent.lstrip("<=")) for extent in extents.split(",") if extent]
    return math.ceil(math.prod(extents) * _item_bytes(dtype))


def _item_bytes(dtype):
    if dtype in _ITEM_BYTES:
        return _ITEM_BYTES[dtype]
    # In f32, bf16, s4, u8, f8e4m3fn and c64, the first number is the width in bits.
    return int(re.search(r"\d+", dtype)[0]) / 8


def _group_size(kind, text, num_devices):
    """Returns the number of devices in a group, from any HLO form of the groups."""
    if kind == "collective-permute":
        return num_devices
    groups = text.partition("replica_groups=")[2]
    if groups.startswith("mesh["):
        axes = dict(re.findall(r"'([^']+)'=(\d+)", groups.partition("]")[0]))
        used = re.search(r"\{([^}]*)\}", groups)[1]
        return math.prod(_axis_size(axis, axes) for axis in used.split(",") if axis)
    iota = re.match(r"\[([\d,]+)\]<=", groups)
    if iota:
        return int(iota[1].split(",")[-1])
    listed = re.match(r"\{\{([\d,]+)\}", groups)
    if listed:
        return len(listed[1].split(","))
    return num_devices


def _axis_size(axis, sizes):
    """Parses `'x'`, a whole mesh axis, or `'x':(2)4`, a sub-axis of size 4."""
    name, part = re.match(r"\s*'([^']+)'(?::\(\d+\)(\d+))?", axis).groups()
    return int(part or sizes[name])
