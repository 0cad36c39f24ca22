"""Mistakes in a subclass of `HarmonizedModel`, or in its data, are explained."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vatt.training import Branch, BranchLoss, HarmonizedModel
from keras_vatt.training._replicas import OneReplica

BACKEND = keras.config.backend()


class TwoTowers(HarmonizedModel):
    """Two branches with common layers, a classification loss and a distance."""

    loss_inputs = ("labels",)

    def __init__(self):
        super().__init__()
        self.trunk = self.built_dense(4, 3)
        self.head = self.built_dense(2, 4)

    def built_dense(self, units, dim):
        layer = keras.layers.Dense(units)
        layer.build((None, dim))
        return layer

    def branches(self):
        return {name: self.branch(name) for name in ("first", "second")}

    def branch(self, name):
        return Branch(
            (name,),
            lambda batch, training: self.encode(batch[name]),
            lambda features, training: self.embed(features),
        )

    def encode(self, x):
        return self.trunk(x)

    def embed(self, features):
        return self.head(features)

    def branch_losses(self):
        return [
            BranchLoss("class", ("first",), 1.0, self.classification),
            BranchLoss("distance", ("first", "second"), 0.5, self.distance),
        ]

    def classification(self, outputs, batch):
        return keras.losses.sparse_categorical_crossentropy(
            batch["labels"], outputs["first"], from_logits=True
        )

    def distance(self, outputs, batch):
        return ops.mean(ops.square(outputs["first"] - outputs["second"]), axis=-1)


def batch(**changes):
    random = np.random.default_rng(0)
    rows = {
        name: random.normal(size=(4, 3)).astype("float32")
        for name in ("first", "second")
    }
    entries = rows | {"labels": np.array([0, 1, 1, 0])} | changes
    return {name: entry for name, entry in entries.items() if entry is not None}


def variant(**attributes):
    return type("Variant", (TwoTowers,), attributes)


def losses(*changed, **fields):
    """Returns `branch_losses` with one more loss, whose fields are given."""
    defaults = {
        "name": "other",
        "branches": ("first",),
        "weight": 1.0,
        "per_sample": lambda outputs, batch: ops.sum(outputs["first"], axis=-1),
    }

    def branch_losses(self):
        return [*TwoTowers.branch_losses(self), BranchLoss(**defaults | fields)]

    return variant(branch_losses=branch_losses)


def compiled(cls=TwoTowers, **options):
    model = cls()
    # A graph of TensorFlow would be traced for a single step.
    options.setdefault("run_eagerly", BACKEND == "tensorflow")
    model.compile("sgd", **{"harmonizer": "realign"} | options)
    return model


def train(cls=TwoTowers, data=None, **options):
    model = compiled(cls, **options)
    data = batch() if data is None else data
    return model.train_on_batch(data, return_dict=True)


def check_both_loops(cls, match, data=None, error=ValueError):
    """Training and evaluation raise the same error, and leave the weights."""
    model = compiled(cls)
    for loop in (model.train_on_batch, model.test_on_batch):
        with pytest.raises(error, match=match):
            loop(batch() if data is None else data)
    assert int(model.num_steps) == 0
    assert np.isfinite(ops.convert_to_numpy(model.trunk.kernel)).all()


def test_a_correct_subclass_trains_without_declaring_itself_built():
    model = compiled()
    history = model.fit(batch(), batch_size=4, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert model.built
    assert np.isfinite(model.test_on_batch(batch())).all()


def test_layers_without_weights_need_not_be_built():
    class Joined(TwoTowers):
        def __init__(self):
            super().__init__()
            self.join = keras.layers.Concatenate()

        def encode(self, x):
            return self.trunk(self.join([x[:, :1], x[:, 1:]]))

    assert np.isfinite(train(Joined)["loss"])


# What the batch lacks


def test_a_missing_label_is_named():
    match = r"Loss 'class' reads 'labels', which the batch does not have.*\['first', 's"
    check_both_loops(TwoTowers, match, batch(labels=None))
    check_both_loops(TwoTowers, match, batch() | {"labels": None})
    with pytest.raises(ValueError, match=match):
        compiled().fit(batch(labels=None), verbose=0)


def test_a_missing_input_of_a_branch_is_named():
    match = "Branch 'second' reads 'second', which the batch does not have"
    check_both_loops(TwoTowers, match, batch(second=None))
    with pytest.raises(ValueError, match=match):
        train(data=batch(second=None), num_micro_batches=2, run_eagerly=False)


def test_a_missing_mask_of_a_loss_is_named():
    def is_valid(batch):
        return batch["mask"]

    cls = losses(is_valid=is_valid)
    cls.loss_inputs = ("labels", "mask")
    match = "Loss 'other' reads 'mask', which the batch does not have"
    check_both_loops(cls, match)
    assert np.isfinite(train(cls, batch(mask=np.ones(4, bool)))["loss"])


def test_entries_that_a_subclass_gets_by_default_are_optional():
    def is_valid(batch):
        return batch.get("mask", ops.ones(4))

    cls = losses(is_valid=is_valid)
    cls.loss_inputs = ("labels", "mask")
    assert np.isfinite(train(cls)["loss"])


def test_entries_that_no_attribute_names_are_explained():
    match = r"Loss 'class' reads 'labels', which it does not name.*loss_inputs=\(\)"
    check_both_loops(variant(loss_inputs=()), match)

    def branch(self, name):
        return Branch(("first",), lambda batch, training: self.trunk(batch[name]))

    match = r"Branch 'second' reads 'second', which .* to `inputs`.*\('first',\)"
    check_both_loops(variant(branch=branch), match)


def test_outputs_of_a_branch_that_a_loss_does_not_name_are_explained():
    cls = losses(per_sample=lambda outputs, batch: outputs["second"][:, 0])
    match = r"Loss 'other' reads 'second', .* to `branches` or `loss_inputs`"
    check_both_loops(cls, match)


def test_other_key_errors_of_a_subclass_keep_their_type():
    with pytest.raises(KeyError, match="missing") as caught:
        train(variant(encode=lambda self, x: {}["missing"]))
    if BACKEND == "torch":  # Others may wrap it.
        assert "can read ['first']" in caught.value.__notes__[0]


# Layers


@pytest.mark.once
@pytest.mark.parametrize("count", [1, 2])
def test_unbuilt_layers_are_named_when_the_model_is_compiled(count):
    class Unbuilt(TwoTowers):
        def __init__(self):
            super().__init__()
            self.head = keras.layers.Dense(2, name="head")
            if count == 2:
                self.trunk = keras.Sequential([keras.layers.Dense(4, name="inner")])

    names = "'head' \\(Dense\\)" if count == 1 else "'inner' \\(Dense\\)"
    with pytest.raises(ValueError, match=f"(?s)must be built before.*{names}"):
        compiled(Unbuilt)


@pytest.mark.once
def test_a_model_without_weights_is_refused():
    class Empty(TwoTowers):
        def built_dense(self, units, dim):
            return lambda x: x

    with pytest.raises(ValueError, match="has no weights. Assign its layers"):
        compiled(Empty)


@pytest.mark.once
def test_a_model_whose_layers_are_frozen_is_refused():
    model = TwoTowers()
    model.trainable = False
    model.compile("sgd")
    with pytest.raises(ValueError, match="all layers are frozen"):
        model.train_on_batch(batch())


@pytest.mark.parametrize(
    "options",
    [{"harmonizer": None}, {}, {"compare": "features"}, {"num_groups": 2}],
    ids=["plain", "parameters", "features", "groups"],
)
def test_losses_that_reach_no_weight_are_refused(options):
    cls = variant(encode=lambda self, x: x, embed=lambda self, features: 2 * features)
    with pytest.raises(ValueError, match="No loss depends on a trainable variable"):
        train(cls, **options)


@pytest.mark.parametrize("harmonizer", [None, "realign"])
def test_a_branch_without_weights_trains_the_others(harmonizer):
    def branch(self, name):
        if name == "first":
            return TwoTowers.branch(self, name)
        return Branch((name,), lambda batch, training: batch[name][:, :2])

    model = compiled(variant(branch=branch), harmonizer=harmonizer)
    before = ops.convert_to_numpy(model.head.kernel).copy()
    assert np.isfinite(model.train_on_batch(batch())[0])
    assert np.abs(ops.convert_to_numpy(model.head.kernel) - before).max() > 0


@pytest.mark.parametrize("harmonizer", [None, "realign"])
def test_a_loss_without_a_gradient_counts_as_zero(harmonizer):
    cls = losses(per_sample=lambda outputs, batch: ops.ones(4))
    logs = train(cls, harmonizer=harmonizer)
    assert logs["other"] == 1.0
    assert np.isfinite(logs["loss"])


# What functions return


@pytest.mark.parametrize(
    ("per_sample", "shape"),
    [
        (lambda outputs, batch: ops.mean(outputs["first"]), r"\(\)"),
        (lambda outputs, batch: outputs["first"], r"\(4, 2\)"),
        (lambda outputs, batch: outputs["first"][1:, 0], r"\(3,\)"),
    ],
    ids=["scalar", "matrix", "rows"],
)
def test_losses_of_a_wrong_shape_are_refused(per_sample, shape):
    match = rf"`per_sample` of loss 'other' .* one value per .* shape {shape}"
    check_both_loops(losses(per_sample=per_sample), match)


def test_losses_of_a_wrong_shape_are_refused_in_a_graph():
    cls = losses(per_sample=lambda outputs, batch: ops.mean(outputs["first"]))
    with pytest.raises(ValueError, match="`per_sample` of loss 'other' must return"):
        train(cls, run_eagerly=False, num_groups=2)


@pytest.mark.parametrize(
    ("value", "received"),
    [
        (None, "None"),
        (0.0, "type float"),
        (np.ones(4, "float32"), "type ndarray"),
        ("int32", "dtype int32"),
    ],
    ids=["none", "float", "numpy", "integers"],
)
def test_losses_that_have_no_gradient_by_their_type_are_refused(value, received):
    def per_sample(outputs, batch):
        return ops.ones(4, value) if isinstance(value, str) else value

    match = f"`per_sample` of loss 'other' must return a float tensor.*{received}"
    check_both_loops(losses(per_sample=per_sample), match, error=TypeError)


@pytest.mark.parametrize("harmonizer", [None, "realign"])
def test_losses_in_half_precision_train(harmonizer):
    def per_sample(outputs, batch):
        return ops.cast(ops.sum(outputs["first"], axis=-1), "float16")

    cls = losses(per_sample=per_sample)
    assert np.isfinite(train(cls, harmonizer=harmonizer)["loss"])


@pytest.mark.parametrize("shape", [(), (4, 1), (3,)], ids=str)
def test_masks_of_a_wrong_shape_are_refused(shape):
    cls = losses(is_valid=lambda batch: ops.ones(shape))
    check_both_loops(cls, "`is_valid` of loss 'other' must return one value per sample")


def test_masks_may_be_arrays_of_bools():
    cls = losses(is_valid=lambda batch: np.array([True, False, True, True]))
    assert np.isfinite(train(cls)["loss"])


@pytest.mark.parametrize(
    ("features", "error", "received"),
    [
        (lambda x: x[:3], ValueError, r"shape \(3, 3\) for 4 samples"),
        (ops.sum, ValueError, r"shape \(\) for 4 samples"),
        (lambda x: None, TypeError, "None"),
        (lambda x: np.ones((4, 3), "float32"), TypeError, "type ndarray"),
        (lambda x: [x, ops.ones(4, "int32")], TypeError, "dtype int32"),
    ],
    ids=["rows", "scalar", "none", "numpy", "integers"],
)
def test_features_that_are_no_rows_of_samples_are_refused(features, error, received):
    cls = variant(encode=lambda self, x: features(x))
    match = f"`encode` of branch 'first' must return .*{received}"
    check_both_loops(cls, match, error=error)


def test_outputs_without_a_gradient_are_refused():
    cls = variant(embed=lambda self, x: ops.argmax(x, axis=-1))
    match = "`embed` of branch 'first' must return float tensors.* dtype int"
    check_both_loops(cls, match, error=TypeError)


@pytest.mark.parametrize("has_dict", [True, False])
def test_outputs_that_a_branch_does_not_return_are_named(has_dict):
    cls = losses(outputs=("logits",))
    if has_dict:
        cls.embed = lambda self, x: {"embedding": self.head(x)}
    received = r"\['embedding'\]" if has_dict else r"a tensor of shape \(4, 2\)"
    match = (
        rf"Loss 'other' needs the outputs \['logits'\] of branch 'first'.*{received}"
    )
    check_both_loops(cls, match)


# The definition, when the model is compiled


@pytest.mark.once
@pytest.mark.parametrize(
    ("fields", "error", "match"),
    [
        ({"branches": ("first", "third")}, ValueError, r"\['first', 'second'\].*third"),
        ({"branches": ()}, ValueError, "must name branches"),
        ({"branches": "first"}, TypeError, "`branches` of loss 'other' must be a tup"),
        ({"outputs": "logits"}, TypeError, "`outputs` of loss 'other' must be a tuple"),
        ({"name": "class"}, ValueError, "a name of its own.*'class'"),
        ({"name": "class_loss"}, ValueError, "a name of its own.*'class_loss'"),
        ({"name": None}, ValueError, "a name of its own.*None"),
        ({"name": "loss"}, ValueError, "those of other metrics"),
        ({"weight": "1"}, TypeError, "weight of loss 'other' must be a number.*'1'"),
        ({"weight": None}, TypeError, "weight of loss 'other' must be a number.*None"),
        ({"weight": -1.0}, ValueError, "must be positive and finite"),
        ({"weight": float("nan")}, ValueError, "must be positive and finite"),
        ({"per_sample": "mse"}, TypeError, r"arguments `\(outputs, batch\)`.*'mse'"),
        ({"per_sample": lambda outputs: 0}, TypeError, r"`\(outputs, batch\)`"),
        ({"is_valid": np.ones(4)}, TypeError, r"`is_valid` .* `\(batch\)`"),
    ],
)
def test_losses_that_do_not_fit_are_refused(fields, error, match):
    with pytest.raises(error, match=f"(?s){match}"):
        compiled(losses(**fields))


@pytest.mark.once
@pytest.mark.parametrize(
    ("attributes", "error", "match"),
    [
        ({"branch_losses": lambda self: []}, ValueError, "at least one loss"),
        ({"branch_losses": lambda self: None}, TypeError, "list of `keras_vatt.*None"),
        ({"branch_losses": lambda self: [self.distance]}, TypeError, "'method'"),
        ({"branches": lambda self: None}, TypeError, "a dict from names to.*None"),
        ({"branches": lambda self: {"first": self.trunk}}, TypeError, "'Dense'"),
        ({"branches": lambda self: [self.branch("first")]}, TypeError, "list with"),
        ({"loss_inputs": "labels"}, TypeError, "`loss_inputs` must be a tuple"),
        (
            {"branch": lambda self, name: Branch(name, self.trunk, self.head)},
            TypeError,
            "`inputs` of branch 'first' must be a tuple of strings",
        ),
        (
            {"branch": lambda self, name: Branch((name,), lambda batch: batch[name])},
            TypeError,
            r"`encode` of branch 'first' .* `\(batch, training\)`",
        ),
        (
            {"branch": lambda self, name: Branch((name,), self.trunk, lambda x: x)},
            TypeError,
            r"`embed` of branch 'first' .* `\(features, training\)`",
        ),
    ],
)
def test_definitions_of_the_wrong_type_are_refused(attributes, error, match):
    with pytest.raises(error, match=match):
        compiled(variant(**attributes), harmonizer=None)


@pytest.mark.once
def test_a_branch_that_no_loss_uses_is_allowed():
    cls = variant(branch_losses=lambda self: TwoTowers.branch_losses(self)[:1])
    assert np.isfinite(train(cls, batch(second=None), harmonizer=None)["loss"])


@pytest.mark.once
def test_methods_that_a_subclass_must_define_are_named():
    class Undefined(HarmonizedModel):
        pass

    with pytest.raises(
        NotImplementedError, match="`Undefined` must define .*`branches"
    ):
        Undefined().compile()
    with pytest.raises(NotImplementedError, match="`Undefined` .* `branch_losses`"):
        Undefined().branch_losses()


def test_a_forgotten_call_of_the_base_constructor_is_named():
    class Forgotten(TwoTowers):
        def __init__(self):
            self.size = 3

    class OfKeras(TwoTowers):
        def __init__(self):
            keras.Model.__init__(self)

    for cls in (Forgotten, OfKeras):
        match = rf"`{cls.__name__}.__init__` must call `super\(\).__init__\(\)` first"
        with pytest.raises(RuntimeError, match=match):
            compiled(cls)


# The data


def raw_model():
    """A model that computes with the entries of a batch, not by layers."""

    def branch(self, name):
        def encode(batch, training):
            return batch[name] @ self.trunk.kernel.value + self.trunk.bias

        return Branch((name,), encode)

    def distance(self, outputs, batch):
        labels = ops.cast(batch["labels"], "float32")
        return TwoTowers.distance(self, outputs, batch) * labels

    return variant(branch=branch, distance=distance)


@pytest.mark.parametrize("dtype", ["float64", "int32", "bool"])
def test_arrays_of_any_dtype_become_tensors(dtype):
    data = batch(labels=batch()["labels"].astype(dtype))
    if dtype == "float64":
        data = {name: entry.astype(dtype) for name, entry in data.items()}
    model = compiled(raw_model())
    expected = model.test_on_batch(batch())
    np.testing.assert_allclose(model.test_on_batch(data), expected, rtol=1e-5)
    logs = model.train_on_batch(data)
    np.testing.assert_allclose(logs[:3], expected, rtol=1e-5)
    if BACKEND != "jax":  # There, variables have no values to assign in a step.
        logs = model.update(data, OneReplica())
        assert np.isfinite(float(logs["loss"]))


def test_lists_of_numbers_become_arrays():
    data = {name: entry.tolist() for name, entry in batch().items()}
    model = compiled()
    expected = model.test_on_batch(batch())
    np.testing.assert_allclose(model.test_on_batch(data), expected, rtol=1e-5)
    np.testing.assert_allclose(model.evaluate(data, verbose=0), expected, rtol=1e-5)
    np.testing.assert_allclose(model.train_on_batch(data)[:3], expected, rtol=1e-5)
    model.fit(data, batch_size=4, verbose=0)
    assert int(model.num_steps) == 2


class OneBatch(keras.utils.PyDataset):
    """A batch in float64, as NumPy makes it."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return {name: entry.astype("float64") for name, entry in batch().items()}


def test_datasets_in_float64_train():
    model = compiled(raw_model())
    assert np.isfinite(model.fit(OneBatch(), verbose=0).history["loss"]).all()


@pytest.mark.parametrize(
    "data",
    [np.ones((4, 3), "float32"), list(batch().values())],
    ids=["array", "list"],
)
def test_batches_that_are_no_dicts_are_refused(data):
    match = "A batch must be a dict from the names"
    check_both_loops(TwoTowers, match, data, TypeError)
    if isinstance(data, np.ndarray):
        with pytest.raises(TypeError, match=match):
            compiled().fit(data, verbose=0)


def test_empty_batches_are_refused():
    check_both_loops(TwoTowers, "must not be empty", {})
    check_both_loops(TwoTowers, "must not be empty", dict.fromkeys(batch()))


@pytest.mark.parametrize(
    "change",
    [{"labels": np.zeros(3, "int32")}, {"epoch": 3}, {"epoch": np.array(3)}],
    ids=["rows", "number", "scalar"],
)
def test_entries_of_a_batch_that_differ_in_length_are_named(change):
    (name,) = change
    match = rf"same number of samples.*'{name}': \({'3,' if name == 'labels' else ''}\)"
    check_both_loops(TwoTowers, match, batch(**change))
