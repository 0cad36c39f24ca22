"""A plan in words and numbers."""

from keras_vatt.planning import _roofline as roofline
from keras_vatt.planning._topologies import PRICE_NOTE

_GIB, _MIB = 2**30, 2**20


def render(plan):
    """A plan as lines of text.

    Args:
        plan: `keras_vatt.planning.Plan`.

    Returns:
        String.
    """
    parts = [_heading(plan), _memory(plan)]
    if plan.fits:
        parts += [_computation(plan), _collectives(plan), _time(plan), _cost(plan)]
    return "\n\n".join("\n".join(part) for part in parts)


def render_search(tried):
    """The batches that a search has tried, as lines of text.

    Args:
        tried: dict from batch size to bytes of a device, `None` where it did not
            fit.

    Returns:
        String.
    """
    lines = ["batch sizes tried"]
    for batch_size, needed in tried.items():
        result = "does not fit" if needed is None else f"{needed / _GIB:8.2f} GiB"
        lines.append(f"  {batch_size:8}  {result}")
    return "\n".join(lines)


def _heading(plan):
    settings, topology = plan.settings, plan.topology
    shape = " x ".join(f"{axis} {size}" for axis, size in plan.mesh.items())
    options = [settings.harmonizer, "Adam", settings.dtype]
    if settings.num_groups > 1:
        options.append(f"{settings.num_groups} groups by {settings.group_by}")
    if settings.num_micro_batches > 1:
        options.append(f"{settings.num_micro_batches} micro-batches")
    if settings.rematerialize:
        options.append("rematerialized")
    per_copy = settings.batch_size / plan.mesh["batch"]
    return [
        f"{settings.preset} on {topology.name}: {topology.num_chips} chips, "
        f"{topology.num_devices} devices ({shape})",
        f"train step: {', '.join(options)}",
        f"batch {settings.batch_size}, {per_copy:g} a copy of the model, "
        f"{settings.candidates} captions a clip; {plan.parameters:,} parameters, "
        f"{plan.trained_parameters:,} trained",
        f"compiled in {plan.compile_seconds:.0f} s by "
        + ", ".join(f"{name} {version}" for name, version in plan.versions.items()),
    ]


def _memory(plan):
    chip = plan.topology.chip
    available = (
        f"{chip.usable_gib:.2f} GiB that a program may use "
        f"({chip.hbm_gib / chip.devices:g} GiB of memory a device, "
        f"{chip.hbm_gib:g} GiB a chip)"
    )
    if not plan.fits:
        wanted = ""
        if plan.wanted_bytes is not None:
            wanted = f": it wants {plan.wanted_bytes / _GIB:.2f} GiB"
        return [
            f"memory: DOES NOT FIT{wanted}, of {available}",
            f"  {plan.refusal}",
        ]
    memory = plan.memory
    share = memory.total / (chip.usable_gib * _GIB)
    return [
        "memory of a device",
        f"  weights, optimizer, batch  {memory.arguments / _GIB:8.2f} GiB",
        f"  temporaries of the step    {memory.temporaries / _GIB:8.2f} GiB",
        f"  program                    {memory.program / _GIB:8.2f} GiB",
        f"  needed at the peak         {memory.total / _GIB:8.2f} GiB",
        f"  fits: {share:.0%} of the {available}",
    ]


def _computation(plan):
    num_devices = plan.topology.num_devices
    total = plan.flops * num_devices
    lines = [
        "computation of a step",
        f"  FLOPs, counted by XLA      {plan.flops:10.3e} a device "
        f"{total:10.3e} in all",
        f"  FLOPs, counted from sizes  {plan.analytic_flops / num_devices:10.3e} "
        f"a device {plan.analytic_flops:10.3e} in all "
        f"(XLA's are {total / plan.analytic_flops:.2f} of them)",
        f"  of a plain step, likewise  {plan.plain_flops / num_devices:10.3e} "
        f"a device {plan.plain_flops:10.3e} in all",
        f"  memory traffic             {plan.memory_bytes / _GIB:10.1f} GiB a device",
    ]
    if plan.settings.num_groups * plan.settings.num_micro_batches > 1:
        lines.append(
            "  XLA counts the body of a loop once: its FLOPs and traffic are too low"
        )
    return lines


def _collectives(plan):
    lines = ["collectives of a step, bytes of one device"]
    if not plan.collectives:
        return [*lines, "  none"]
    lines.append(
        f"  {'':20} {'count':>6} {'result MiB':>11} {'sent MiB':>11}  "
        f"{'dtypes':14} devices of a group"
    )
    for kind, own in plan.collectives.items():
        lines.append(
            f"  {kind:20} {own['count']:6} {own['result_bytes'] / _MIB:11.2f} "
            f"{own['sent_bytes'] / _MIB:11.2f}  {', '.join(own['dtypes']):14} "
            f"{', '.join(map(str, own['group_sizes']))}"
        )
    if plan.unknown_loops:
        lines.append(
            f"  {plan.unknown_loops} of them in loops of unknown length, counted once"
        )
    return lines


def _time(plan):
    chip, line = plan.topology.chip, plan.roofline
    assumed = plan.assumptions
    return [
        "time of a step, a roofline and no measurement",
        f"  {roofline.FORMULA}",
        f"  with u = {assumed.flops_utilization:g} and "
        f"w = {assumed.bandwidth_utilization:g}, both assumed; a chip has "
        f"{chip.peak_flops / 1e12:g} TFLOP/s in bfloat16, {chip.hbm_bandwidth / 1e9:g} "
        f"GB/s to its memory, {chip.link_bandwidth / 1e9:g} GB/s to other chips",
        f"  compute        {line.compute * 1e3:9.1f} ms",
        f"  memory         {line.memory * 1e3:9.1f} ms",
        f"  communication  {line.communication * 1e3:9.1f} ms",
        f"  step           {line.seconds * 1e3:9.1f} ms, bound by {line.bound}; "
        f"{line.overlapped_seconds * 1e3:.1f} ms if all communication is hidden; "
        f"{plan.settings.batch_size / line.seconds:,.0f} clips a second",
    ]


def _cost(plan):
    steps = plan.assumptions.steps
    hours = plan.roofline.seconds * steps / 3600
    source = PRICE_NOTE if plan.assumptions.price is None else "as given"
    return [
        f"cost of {steps:,} steps",
        f"  {hours:,.1f} hours on {plan.topology.num_chips} chips, "
        f"${plan.dollars(steps):,.0f} at ${plan.price:g} a chip and hour",
        f"  ({source})",
    ]
