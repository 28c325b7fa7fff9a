"""Training, transfer and summaries on small real images."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from tests.conftest import ARCHITECTURE, CLASSES, TRAINING, changed, rows_of
from transferlens.core import artefacts, labelled, studies
from transferlens.core.errors import ArtefactError, ConfigError
from transferlens.core.seeding import seed_for
from transferlens.data import classnames
from transferlens.data.pipeline import Pass
from transferlens.training import (
    criterion,
    engine,
    fused,
    kept_maps,
    networks,
    outputs,
    pretrained,
    schedule,
    source,
    summary,
    transfer,
)
from transferlens.training.artefacts import (
    OUTPUTS,
    SOURCE_MODELS,
    SUMMARY,
    TRAINING_RECORDS,
    TRANSFER_RUNS,
)
from transferlens.training.recipes.settings.plain import FixedSettings, FullSettings

FIXED = FixedSettings(training=changed(TRAINING, epochs=20, lr=0.5))


def train_shard(path, table, train, val, training, unit_of_image=None, step_matched=False):
    units = train.examples.labels if unit_of_image is None else unit_of_image
    source.train_shard(
        path,
        table,
        units,
        list(CLASSES),
        train,
        val,
        ARCHITECTURE,
        FullSettings(training=training),
        step_matched,
    )
    return path


@pytest.fixture
def shard(textures, tmp_path):
    """A shard of three source models (all classes, two classes, none) on the textures."""
    _, train, val = textures
    path = tmp_path / "source.h5"
    table = rows_of([[1, 1, 1], [1, 1, 0], [0, 0, 0]])
    return train_shard(path, table, train, val, changed(TRAINING, epochs=6))


@pytest.fixture
def next_shard(shard, textures, tmp_path):
    """The next rows of the same study: the same models again."""
    _, train, val = textures
    table = rows_of([[1, 1, 1], [1, 1, 0], [0, 0, 0]], first=3)
    return train_shard(tmp_path / "next.h5", table, train, val, changed(TRAINING, epochs=6))


def transferred(shard, textures, path, recipe=FIXED, keep_weights=True, collectors=()):
    made, train, val = textures
    transfer.transfer_shard(
        path,
        shard,
        made,
        train,
        val,
        ARCHITECTURE,
        recipe,
        keep_weights,
        "global",
        collectors,
    )
    return path


def adapted(shard, path, row):
    """The adapted network of one row."""
    (model,) = networks.adapted_networks([shard], [path], ARCHITECTURE, torch.device("cpu"), [row])
    return model.network


def test_source_models_learn_what_they_see(shard):
    with artefacts.open(shard, SOURCE_MODELS) as file:
        assert file["accuracy"][0] > 0.9
        assert file["class_accuracy"][1, 2] == 0  # never a positive, though the head has its output
        assert file["weights/head.weight"].shape == (3, 3 * 32)
        assert file["train_images"][:].tolist() == [90, 60, 0]
        assert np.isnan(file["accuracy"][2])
        assert file["log"][0, -1, 0] < file["log"][0, 0, 0]


def test_a_record_is_all_but_the_weights(shard, tmp_path):
    source.write_record(tmp_path / "r.h5", shard)
    with (
        artefacts.open(tmp_path / "r.h5", TRAINING_RECORDS) as record,
        artefacts.open(shard, SOURCE_MODELS) as whole,
    ):
        assert "weights" not in record
        for name in (field.name for field in TRAINING_RECORDS.fields if not field.optional):
            np.testing.assert_array_equal(record[name], whole[name])


def test_a_model_of_no_class_is_the_random_initialisation(shard):
    with artefacts.open(shard, SOURCE_MODELS) as file:
        for name, tensor in source.initial_network(ARCHITECTURE, 3, 2).state_dict().items():
            np.testing.assert_array_equal(file[f"weights/{name}"][2], tensor.numpy().ravel())


def test_units_of_images_decide_what_a_model_sees(textures, tmp_path):
    """Units cut across classes: each model sees the images of its units, and is scored on their classes."""
    _, train, val = textures
    labels = train.examples.labels
    unit_of_image = np.where(labels == 0, 0, np.where(np.arange(90) % 2 == 0, 1, 2))
    table = rows_of([[1, 0, 0], [1, 1, 0]])
    path = train_shard(tmp_path / "s.h5", table, train, val, TRAINING, unit_of_image)
    with artefacts.open(path, SOURCE_MODELS) as file:
        assert file["train_images"][:].tolist() == [30, 60]
        assert file["accuracy"][0] == file["class_accuracy"][0, 0]
        assert file["accuracy"][1] == pytest.approx(file["class_accuracy"][1].mean())


def test_step_matched_models_take_the_steps_of_the_whole_source(textures, tmp_path, monkeypatch):
    _, train, val = textures
    steps = []
    step = fused.SGD.step
    monkeypatch.setattr(fused.SGD, "step", lambda *a, **k: (steps.append(0), step(*a, **k))[1])
    taken = []
    for masks, matched in (([[1, 1, 1]], False), ([[1, 0, 0]], False), ([[1, 0, 0]], True)):
        steps.clear()
        path = train_shard(tmp_path / "s.h5", rows_of(masks), train, val, TRAINING, step_matched=matched)
        taken.append(len(steps))
        with artefacts.open(path, SOURCE_MODELS) as file:
            assert np.isfinite(file["log"][:]).all()
    # 90 images make 5 batches of 16, 30 images 1; three epochs.
    assert taken == [15, 3, 15]


def test_where_the_last_batch_is_rounded_expected_steps_are_proportional_to_images():
    """90 images make 5.625 batches of 16; one seed draws alike for any number of images."""
    rounded = changed(TRAINING, last_batch="rounded")
    steps = [schedule.steps_per_epoch(90, rounded, seed) for seed in range(2000)]
    assert set(steps) == {5, 6}
    assert np.mean(steps) == pytest.approx(5.625, abs=0.05)
    fewer = [schedule.steps_per_epoch(86, rounded, seed) for seed in range(2000)]
    assert np.mean(fewer) == pytest.approx(5.375, abs=0.05)
    assert all(a >= b for a, b in zip(steps, fewer, strict=True))
    assert {schedule.steps_per_epoch(n, rounded, s) for n in (3, 16) for s in range(20)} == {1}
    assert schedule.steps_per_epoch(90, TRAINING, 0) == schedule.steps_per_epoch(90, rounded) == 5


def test_step_matched_models_round_as_the_full_source_model_of_their_seed(textures, tmp_path, monkeypatch):
    _, train, val = textures
    steps = []
    step = fused.SGD.step
    monkeypatch.setattr(fused.SGD, "step", lambda *a, **k: (steps.append(0), step(*a, **k))[1])
    taken, rounded = [], changed(TRAINING, last_batch="rounded")
    for seed in range(4):
        for mask, matched in (([1, 1, 1], False), ([1, 0, 0], True)):
            steps.clear()
            rows = replace(rows_of([mask]), training_seeds=np.array([seed]))
            train_shard(tmp_path / "s.h5", rows, train, val, rounded, step_matched=matched)
            taken.append(len(steps))
    assert taken[::2] == taken[1::2]
    assert set(taken) == {15, 18}


def test_training_is_a_function_of_its_seed(textures):
    _, train, _ = textures

    def trained(seed):
        net = source.initial_network(ARCHITECTURE, 3, 0).train()
        engine.train(net, net.parameters(), train, np.arange(90), TRAINING, seed)
        return net.head.weight

    assert torch.equal(trained(1), trained(1))
    assert not torch.equal(trained(1), trained(2))


def test_class_weights_undo_unequal_classes():
    """Every class has the same total weight, and the mean weight is 1, also if a label is missing."""
    labels = torch.tensor([0] * 6 + [1] * 3 + [3])
    weights = criterion.class_weights(labels)[labels]
    totals = [float(weights[labels == c].sum()) for c in (0, 1, 3)]
    np.testing.assert_allclose(totals, 10 / 3, rtol=1e-6)


def test_a_weighted_model_does_not_give_up_the_rare_class(textures):
    """With 25 images of one class and 2 of another, the loss of both counts alike."""
    _, train, _ = textures
    labels = train.examples.labels
    positions = np.concatenate([np.flatnonzero(labels == 0)[:25], np.flatnonzero(labels == 1)[:2]])
    log = {}
    for weighted in (False, True):
        training = changed(TRAINING, epochs=1, batch_size=27, lr=1e-9, class_weighted=weighted)
        network = source.initial_network(ARCHITECTURE, 3, 0)
        log[weighted] = engine.train(network.train(), network.parameters(), train, positions, training, 0)[
            0, 0
        ]
    network = source.initial_network(ARCHITECTURE, 3, 0).train()
    ((images, targets),) = train.training_batches(Pass(positions, TRAINING, 27, 0, 0, 28))
    losses = torch.nn.functional.cross_entropy(network(images), targets, reduction="none").detach()
    assert log[False] == pytest.approx(float(losses.mean()), rel=1e-5)
    assert log[True] == pytest.approx(
        float(torch.stack([losses[targets == c].mean() for c in (0, 1)]).mean()), rel=1e-5
    )


def test_fewer_images_than_a_batch_make_one_smaller_batch(textures):
    _, train, _ = textures
    net = source.initial_network(ARCHITECTURE, 3, 0).train()
    before = net.head.weight.clone()
    log = engine.train(net, net.parameters(), train, np.arange(5), TRAINING, 0)
    assert np.isfinite(log).all()
    assert not torch.equal(before, net.head.weight)


def test_outputs_are_those_of_the_stored_network(shard, textures, tmp_path):
    """What is written down is what the stored weights compute: the folded head included."""
    made, _, val = textures
    path = transferred(shard, textures, tmp_path / "t.h5")
    with artefacts.open(path, TRANSFER_RUNS) as file:
        for row in range(3):
            network = adapted(shard, path, row)
            again = outputs.per_example(engine.evaluate(network, val), val.labels)
            np.testing.assert_allclose(file["margin"][row], again["margin"], rtol=1e-4, atol=1e-4)
        correct, halves = file["correct"][0], made.val.halves
        assert file["accuracy"][0, 1] == correct[halves == 1].mean()
        assert file["accuracy"][0].min() > file["accuracy"][2].max() - 0.2


@pytest.mark.parametrize("recipe", [FIXED, FullSettings(training=TRAINING)], ids=["fixed", "full"])
def test_maps_of_the_probe_set_add_up_to_the_adapted_networks_logits(shard, textures, tmp_path, recipe):
    made, _, val = textures
    keeper = kept_maps.ProbeMaps(val, {"examples": 7, "seed": 3})
    probed, path = keeper.probe, transferred(shard, textures, tmp_path / "t.h5", recipe, collectors=[keeper])
    assert np.array_equal(kept_maps.read_examples([path]), probed.examples)
    assert (made.val.halves[probed.examples] == 1).all()
    assert sorted(np.bincount(made.val.labels[probed.examples])) == [2, 2, 3]
    for row in range(3):
        network = adapted(shard, path, row)
        labels = made.val.labels[probed.examples]
        logits = engine.evaluate(network, val).numpy()[probed.examples, labels]
        maps, stored = (kept_maps.read([path], f"probe_{name}")[row] for name in ("map", "logit"))
        assert maps.shape == (7, 7, 7)
        bias = network.head.bias.detach().numpy()[labels]
        np.testing.assert_allclose(stored, logits, atol=1e-4)
        np.testing.assert_allclose(maps.mean((1, 2)) + bias, logits, atol=1e-4)


def test_a_probe_set_has_at_most_the_report_half(textures):
    made, _, _ = textures
    chosen = kept_maps.choose(made.val, 1000, seed=0)
    assert sorted(chosen) == np.flatnonzero(made.val.halves == 1).tolist()
    assert (np.diff(made.val.labels[chosen]) >= 0).all()
    assert not np.array_equal(kept_maps.choose(made.val, 6, 0), kept_maps.choose(made.val, 6, 1))


def test_shards_with_other_probe_sets_are_refused(shard, textures, tmp_path):
    _, _, val = textures
    short = changed(FIXED, training=changed(TRAINING, epochs=1))
    keepers = {n: [kept_maps.ProbeMaps(val, {"examples": n, "seed": 0})] if n else [] for n in (3, 4, 0)}
    paths = [
        transferred(shard, textures, tmp_path / f"{n}.h5", short, collectors=keeper)
        for n, keeper in keepers.items()
    ]
    with pytest.raises(ArtefactError, match=r"4\.h5: another probe set than in the first shard"):
        kept_maps.read_examples(paths[:2])
    with pytest.raises(ArtefactError, match=r"0\.h5: keeps no maps of a probe set"):
        kept_maps.read_examples(paths[2:])


def moved(shard, path, row=0):
    """Which parts of the adapted network differ from the source model's: parameters, running statistics."""
    network = adapted(shard, path, row)
    parts = {"parameters": False, "statistics": False}
    with artefacts.open(shard, SOURCE_MODELS) as file:
        for name, tensor in network.backbone.state_dict().items():
            if not np.array_equal(file[f"weights/backbone.{name}"][row], tensor.numpy().ravel()):
                parts["statistics" if "running" in name or "num_" in name else "parameters"] = True
    return parts


@pytest.mark.parametrize(
    ("recipe", "parameters", "statistics"),
    [
        (FIXED, False, False),
        (changed(FIXED, batchnorm="train", training=TRAINING), False, True),
        (FullSettings(training=TRAINING), True, True),
    ],
)
def test_each_recipe_changes_what_it_may(shard, textures, tmp_path, recipe, parameters, statistics):
    path = transferred(shard, textures, tmp_path / "t.h5", recipe)
    assert moved(shard, path) == {"parameters": parameters, "statistics": statistics}


def test_a_feature_that_never_varies_does_no_harm(textures):
    _, train, val = textures
    net = source.initial_network(ARCHITECTURE, 3, 0)
    with torch.no_grad():
        last = net.backbone.block3.second[1]
        last.weight.zero_()
        last.bias.fill_(-1e3)
        net.backbone.block3.shortcut[1].weight.zero_()
    adapted = transfer.adapt(net, train, FIXED, seed=0).network
    assert torch.isfinite(engine.evaluate(adapted.eval(), val)).all()


def test_a_summary_is_its_shards_in_order(shard, next_shard, textures, tmp_path):
    paths = [transferred(s, textures, tmp_path / f"{i}.h5") for i, s in enumerate((shard, next_shard))]
    summary.write_summary(tmp_path / "s.h5", paths)
    with artefacts.open(tmp_path / "s.h5", SUMMARY) as file, h5py.File(paths[0]) as part:
        assert studies.read_rows(file).numbers.tolist() == list(range(6))
        for name in OUTPUTS:
            whole, of_part = outputs.Output(file, name), outputs.Output(part, name)
            exact = name in ("correct", "prediction")
            assert whole[:].dtype == of_part[:].dtype
            np.testing.assert_allclose(whole[:3], of_part[:], rtol=0 if exact else 2**-10, atol=1e-7)
            np.testing.assert_array_equal(whole[3:, 5:9], whole[:3, 5:9])
        np.testing.assert_array_equal(file["class_accuracy"][3:], part["class_accuracy"])


def test_a_diverged_model_is_named(shard, textures, tmp_path):
    path = transferred(shard, textures, tmp_path / "t.h5")
    with h5py.File(path, "r+") as file:
        file["margin"][1, 4] = np.nan
    with pytest.raises(ArtefactError, match="output 'margin' of model 1 is NaN"):
        summary.write_summary(tmp_path / "s.h5", [path])
    assert not (tmp_path / "s.h5").exists()


def test_shards_out_of_order_are_refused(shard, next_shard, textures, tmp_path):
    """A whole file with the right number of wrong rows."""
    paths = [transferred(s, textures, tmp_path / f"{i}.h5") for i, s in enumerate((shard, shard, next_shard))]
    with pytest.raises(ArtefactError, match=r"1\.h5: holds rows 0 to 2 of its study where rows from 3"):
        summary.write_summary(tmp_path / "s.h5", paths[:2])
    assert not (tmp_path / "s.h5").exists()


def test_shards_of_other_examples_are_refused(shard, next_shard, textures, tmp_path):
    paths = [transferred(s, textures, tmp_path / f"{i}.h5") for i, s in enumerate((shard, next_shard))]
    with h5py.File(paths[1], "r+") as file:
        file["example"][0] = "elsewhere"
    with pytest.raises(ArtefactError, match=r"1\.h5: other target examples"):
        summary.write_summary(tmp_path / "s.h5", paths)


def load_pretrained(path, weights, textures, probe=None, classes=CLASSES):
    table = replace(rows_of([[1, 1, 1]]), roles=["pretrained"])
    _, train, val = textures
    pretrained.load_pretrained(
        path,
        table,
        list(classes),
        pretrained.Given(str(weights)),
        probe,
        train,
        val,
        ARCHITECTURE,
    )
    return path


def test_a_pretrained_row_is_loaded_not_trained(textures, tmp_path):
    net = source.initial_network(ARCHITECTURE, 3, 11)
    torch.save(net.state_dict(), tmp_path / "w.pt")
    path = load_pretrained(tmp_path / "p.h5", tmp_path / "w.pt", textures)
    with artefacts.open(path, SOURCE_MODELS) as file:
        head = net.head.weight.detach().numpy().ravel()
        np.testing.assert_array_equal(file["weights/head.weight"][0], head)
        assert file["mask"][:].all()


def test_a_part_of_imagenet_takes_its_outputs_of_imagenets_head(textures, tmp_path):
    """By WordNet id: whatever the order of the classes, each gets the output that was trained for it."""
    net = source.initial_network(ARCHITECTURE, 1000, 11)
    torch.save(net.state_dict(), tmp_path / "w.pt")
    wnids = ["n01443537", "n15075141", "n01440764"]  # the second, the last and the first of the 1,000
    classes = [classnames.readable(wnid) for wnid in wnids]
    path = load_pretrained(tmp_path / "p.h5", tmp_path / "w.pt", textures, classes=classes)
    with artefacts.open(path, SOURCE_MODELS) as file:
        found = source.load_network(file, 0, ARCHITECTURE, torch.device("cpu"))
    for own, whole in zip(found.head.parameters(), net.head.parameters(), strict=True):
        torch.testing.assert_close(own, whole[[1, 999, 0]], rtol=0, atol=0)
    with pytest.raises(ConfigError, match=r"w.pt has an output for each .* 'unicorn' is none of them"):
        load_pretrained(tmp_path / "q.h5", tmp_path / "w.pt", textures, classes=[*classes[:2], "unicorn"])
    assert not (tmp_path / "q.h5").exists()


def test_a_head_over_a_thousand_classes_of_ones_own_is_taken_as_it_is():
    state = {"head.weight": torch.arange(1000.0)[:, None], "head.bias": torch.arange(1000.0)}
    own = [f"class {i}" for i in range(1000)]
    assert pretrained.with_head_of(state, own, "w.pt")["head.bias"].tolist() == list(range(1000))
    imagenet = classnames.known("imagenet").names[::-1]
    assert pretrained.with_head_of(state, imagenet, "w.pt")["head.bias"].tolist() == list(range(999, -1, -1))


def test_a_backbone_without_a_head_gets_one_by_a_linear_probe(textures, shard, tmp_path):
    """Fitted on the source's own images: about as good a head as the one its features were learned with."""
    with artefacts.open(shard, SOURCE_MODELS) as file:
        learned = source.load_network(file, 0, ARCHITECTURE, torch.device("cpu"))
    torch.save(learned.backbone.state_dict(prefix="backbone."), tmp_path / "simclr.pt")
    probe = changed(TRAINING, epochs=20, lr=0.5)
    path = load_pretrained(tmp_path / "p.h5", tmp_path / "simclr.pt", textures, probe)
    with artefacts.open(path, SOURCE_MODELS) as file:
        found = source.load_network(file, 0, ARCHITECTURE, torch.device("cpu"))
        assert file["accuracy"][0] > 0.9
        assert file["log"][0, -1, 0] < file["log"][0, 0, 0]
        assert file["train_images"][0] == 90
    for name, tensor in learned.backbone.state_dict().items():
        torch.testing.assert_close(found.backbone.state_dict()[name], tensor, rtol=0, atol=0)
    with pytest.raises(ConfigError, match=r"simclr.pt: a backbone without a head, .*head: probe"):
        load_pretrained(tmp_path / "q.h5", tmp_path / "simclr.pt", textures)
    assert not (tmp_path / "q.h5").exists()


def test_another_seed_of_a_transfer_makes_another_model_of_the_same_source(shard, textures, tmp_path):
    target, train, val = textures
    made = {}
    for reseed in (0, 1):
        recipe = FIXED.model_copy(update={"reseed": reseed})
        path = tmp_path / f"{reseed}.h5"
        transfer.transfer_shard(path, shard, target, train, val, ARCHITECTURE, recipe, False, "global")
        made[reseed] = labelled.read(path, TRANSFER_RUNS)
    assert (made[0].training_seed == made[1].training_seed).all()
    assert (made[0].margin != made[1].margin).any("example").all()
    seed = int(made[0].training_seed[0])
    assert transfer.transfer_seed(seed, FIXED) == seed_for(seed, "transfer")
    others = {transfer.transfer_seed(seed, FIXED.model_copy(update={"reseed": i})) for i in range(4)}
    assert len(others) == 4
