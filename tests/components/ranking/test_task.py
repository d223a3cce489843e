"""The ranking task: inputs, steps, exact metrics, and a whole small training."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn import metrics as sklearn_metrics

from babelrank.components.errors import ConfigError
from babelrank.components.ranking.config import EmbeddingOptimizerConfig, ModelConfig
from babelrank.components.ranking.config import RankingTrainingConfig as Config
from babelrank.components.ranking.features import Features, SparseFeature
from babelrank.components.ranking.task import (
    RankingInputConfig,
    RankingOptimizer,
    RankingTask,
    RankingTaskConfig,
)
from babelrank.components.training.config import OptimizerConfig, TrainingConfig
from babelrank.components.training.loop import fit
from babelrank.components.training.progress import Lines

FEATURES = Features((SparseFeature("user", 6), SparseFeature("tags", 4, True)), 2)
ROWS = 300


def task(weighted=False, objective="click", **model):
    return RankingTask(
        RankingTaskConfig(
            features=FEATURES,
            model=ModelConfig(**{"preset": "tiny"} | model),
            objective=objective,
            weighted=weighted,
        )
    )


def rows(count=ROWS):
    """Labels that depend on the user, and a little on the first dense value."""
    drawn = np.random.default_rng(0)
    users = drawn.integers(0, 6, count)
    dense = drawn.normal(size=(count, 2))
    labels = drawn.random(count) < 1 / (1 + np.exp(-2.0 * (users - 2.5) - dense[:, 0]))
    for i in range(count):
        yield {
            "user": [users[i]],
            "tags": drawn.integers(0, 4, i % 3),
            "dense_features": dense[i],
            "label": [float(labels[i])],
            "weight": [1.0 + i % 2],
        }


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    path = tmp_path_factory.mktemp("records") / "part.gz"
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for row in rows():
            feature = {}
            for name, value in row.items():
                if name in ("user", "tags"):
                    feature[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=value))
                else:
                    feature[name] = tf.train.Feature(float_list=tf.train.FloatList(value=value))
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())
    return str(path)


def inputs(records, tmp_path, **changes):
    values = {"path": records, "store": str(tmp_path / "store"), "batch_size": 32} | changes
    return RankingInputConfig(**values)


def test_inputs_have_the_shape_of_the_contract(records, tmp_path):
    dataset = task().build_inputs(inputs(records, tmp_path, is_training=False))
    features, labels = dataset.element_spec
    assert features["dense_features"] == tf.TensorSpec([None, 2], tf.float32)
    assert features["sparse_features"] == {
        "user": tf.TensorSpec([None], tf.int32),
        "tags": tf.TensorSpec([None, 2], tf.int32),
    }
    assert labels == tf.TensorSpec([None], tf.float32)
    assert sum(len(batch[1]) for batch in dataset) == ROWS


def test_weights_come_third(records, tmp_path):
    dataset = task(weighted=True).build_inputs(inputs(records, tmp_path, is_training=False))
    _, _, weights = next(iter(dataset))
    np.testing.assert_array_equal(weights[:4], [1, 2, 1, 2])


def test_training_inputs_never_end(records, tmp_path):
    dataset = task().build_inputs(inputs(records, tmp_path))
    assert sum(1 for _ in dataset.take(25)) == 25


def test_a_store_is_read_without_the_records(records, tmp_path):
    task().batches(inputs(records, tmp_path))
    again = task().batches(RankingInputConfig(path=str(tmp_path / "store")))
    assert again.rows == ROWS


def test_an_input_pipeline_has_its_part_of_each_batch(records, tmp_path):
    config = inputs(records, tmp_path, batch_size=4)
    whole = next(iter(task().build_inputs(config)))
    context = tf.distribute.InputContext(2, 1, num_replicas_in_sync=2)
    part = next(iter(task().build_inputs(config, context)))
    np.testing.assert_array_equal(part[1], whole[1][2:])


def test_the_losses():
    click, rating = task(), task(objective="rating")
    labels, scores = tf.constant([1.0, 0.0]), tf.constant([0.5, 0.75])
    each = -np.log([0.5, 0.25])
    assert float(click.build_losses(labels, scores)) == pytest.approx(each.mean(), rel=1e-5)
    weights = tf.constant([1.0, 3.0])
    assert float(click.build_losses(labels, scores, [tf.constant(10.0)], weights)) == pytest.approx(
        (each[0] + 3 * each[1]) / 2 + 10, rel=1e-5
    )
    assert float(rating.build_losses(labels, scores)) == pytest.approx((0.25 + 0.5625) / 2)


def test_each_optimizer_trains_its_part(records, tmp_path):
    ranking = task()
    model = ranking.build_model()
    config = Config(
        optimizer=OptimizerConfig(name="sgd", learning_rate=1e-12),
        embedding_optimizer=EmbeddingOptimizerConfig(name="adagrad", learning_rate=0.5),
    )
    optimizer = ranking.create_optimizer(config)
    assert isinstance(optimizer, RankingOptimizer)
    before = [v.numpy() for v in model.trainable_variables]
    metrics = ranking.build_metrics()
    batch = next(iter(ranking.build_inputs(inputs(records, tmp_path))))
    logs = ranking.train_step(batch, model, optimizer, metrics)
    assert float(logs["loss"]) == pytest.approx(0.69, abs=0.05)
    assert [m.name for m in metrics] == ["prediction_mean", "label_mean"]
    assert float(metrics[1].result()) == pytest.approx(float(tf.reduce_mean(batch[1])))
    embeddings = {v.ref() for v in model.embedding_trainable_variables}
    for variable, old in zip(model.trainable_variables, before, strict=True):
        changed = np.abs(variable.numpy() - old).max() > 1e-6
        assert changed == (variable.ref() in embeddings)


def test_one_optimizer_may_train_all():
    optimizer = RankingTask.create_optimizer(TrainingConfig(optimizer=OptimizerConfig(name="sgd")))
    assert type(optimizer) is tf.keras.optimizers.legacy.SGD


def test_an_optimizer_without_a_model_says_so():
    optimizer = RankingTask.create_optimizer(Config())
    with pytest.raises(ValueError, match=r"the optimizer knows no model; call bind\(model\) first"):
        optimizer.apply_gradients([(tf.ones([1]), tf.Variable([1.0]))])


def test_float16_scales_the_loss(records, tmp_path):
    class Runtime:
        mixed_precision_dtype = "float16"

    ranking = task()
    model = ranking.build_model()
    optimizer = ranking.create_optimizer(Config(), Runtime())
    batch = next(iter(ranking.build_inputs(inputs(records, tmp_path))))
    before = model.get_weights()
    ranking.train_step(batch, model, optimizer)
    assert any(np.any(x != y) for x, y in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_are_exact_over_the_whole_split(records, tmp_path, weighted):
    ranking = task(weighted)
    model = ranking.build_model()
    state, collected = None, []
    dataset = ranking.build_inputs(inputs(records, tmp_path, is_training=False))
    for i, batch in enumerate(dataset):
        logs = ranking.validation_step(batch, model)
        # As one replica gives them, and as a tuple over replicas.
        outputs = tf.nest.map_structure(lambda x: (x,), logs) if i % 2 else logs
        state = ranking.aggregate_logs(state, outputs)
        collected.append([logs[name].numpy() for name in ("labels", "predictions", "weights")])
    found = ranking.reduce_aggregated_logs(state, global_step=tf.constant(1))
    y, p, w = (np.concatenate(parts) for parts in zip(*collected, strict=True))
    assert len(y) == ROWS
    weights = w if weighted else None
    assert found["auc"] == pytest.approx(sklearn_metrics.roc_auc_score(y, p, sample_weight=weights))
    assert found["log_loss"] == pytest.approx(
        sklearn_metrics.log_loss(y, p, sample_weight=weights), rel=1e-5
    )
    assert ranking.reduce_aggregated_logs(None) == {}


@pytest.mark.parametrize(
    ("objective", "best", "mode"), [("click", "auc", "max"), ("rating", "rmse", "min")]
)
def test_the_best_metric_follows_the_objective(objective, best, mode):
    ranking = task(objective=objective)
    assert (ranking.best_metric, ranking.best_metric_mode) == (best, mode)
    assert ranking.metric_mode("log_loss") == "min"
    with pytest.raises(ConfigError, match="early_stopping.metric: got 'calibration'; takes one of"):
        ranking.metric_mode("calibration")


@pytest.mark.parametrize("model", [{}, {"interaction": "cross", "dropout": 0.2}])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_training_learns_what_there_is_to_learn(records, tmp_path, model, weighted):
    ranking = task(weighted, **model)
    config = Config(
        batch_size=32, epochs=8, embedding_optimizer=EmbeddingOptimizerConfig(learning_rate=0.2)
    )
    train = ranking.batches(inputs(records, tmp_path))
    judged = ranking.batches(inputs(records, tmp_path, is_training=False))
    result = fit(ranking, config, train, judged, tmp_path / "run", progress=Lines())
    assert result.best_metrics["auc"] > 0.85
    assert result.best_metrics["calibration"] == pytest.approx(1.0, abs=0.15)
    assert (
        result.best_metrics["loss"] == pytest.approx(result.best_metrics["log_loss"], rel=1e-3)
        or weighted
    )


def test_a_new_training_starts_from_a_checkpoint(records, tmp_path):
    first = task().build_model()
    path = tf.train.Checkpoint(model=first).save(str(tmp_path / "c"))
    config = RankingTaskConfig(
        features=FEATURES, model=ModelConfig(preset="tiny"), init_checkpoint=path
    )
    ranking = RankingTask(config)
    model = ranking.build_model()
    ranking.initialize(model)
    for x, y in zip(model.get_weights(), first.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("wrong", [lambda f, y: (f, y, y, y), lambda f, y: f])
def test_other_inputs_are_refused(records, tmp_path, wrong):
    ranking = task()
    features, labels = next(iter(ranking.build_inputs(inputs(records, tmp_path))))
    with pytest.raises(ValueError, match=r"inputs: got .*; takes a tuple \(features, labels\)"):
        ranking.train_step(wrong(features, labels), ranking.build_model(), None)
