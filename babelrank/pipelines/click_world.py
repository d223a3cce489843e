"""Simulated users and items, what is shown to whom, and how probable a click is.

A row is one item shown to one user. With user `u`, item `i`, category `c` of the item, device
`d`, hour `h` (UTC) and position `k` (1..10, drawn uniformly and independently of the rest):

    logit = bias
          + taste * <U[u], V[i]> / sqrt(D)                       user x item
          + popularity * z(ln share[i])                          popular items are clicked more
          + item_effect * (C[c] + mean(T[tags of i]) + O[i]) / sqrt(3)
          - price_effect * (ln price - 3) / 0.8                  0 where no price was shown
          + hour_effect * cos(2 pi (h - peak[d]) / 24)           device x hour
          - position_bias * ln k
    P(click) = (1 - noise) * sigmoid(logit) + noise * base_click_rate

`U`, `V`, `C`, `T`, `O` have unit variance; 70 % of the variance of an item's factors `V` is
its category's. Every term is a function of what the row shows (price as rounded, hour from
`ts`), so `P(click)` is the best possible prediction, and no model beats its AUC but by luck.
The bias is set so that the mean of `P(click)` is `base_click_rate`. `V` does a random walk of
constant variance from span to span: `V <- sqrt(1 - drift^2) V + drift * fresh`.

Serving does not know the position. As it is drawn independently and `P(click)` is monotone in
the rest of the logit, ordering by the click probability at position 1, or averaged over the
positions, is the best ordering that knows no position: the *served* optimum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from babelrank.components.config import option
from babelrank.components.errors import ConfigError
from babelrank.pipelines.optimum import Floats, Truth

CATEGORIES = (
    "books",
    "café & food",
    "electronics",
    "fashion",
    "games",
    "garden",
    "music",
    "office",
    "sports",
    "toys",
)
TAGS = (
    "bargain",
    "classic",
    "eco",
    "gift",
    "handmade",
    "import",
    "limited",
    "local",
    "new",
    "premium",
    "refurbished",
    "season",
)
DEVICES = ("desktop", "mobile", "tablet")
POSITIONS = 10

_PEAK_HOURS = np.array([11.0, 21.0, 16.0])  # by device
_LOG_PRICE_MEAN, _LOG_PRICE_SD = 3.0, 0.8

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SimulatorConfig:
    """What is simulated. The docstring of the module has the formula."""

    users: int = option(2_000, "Number of users.")
    items: int = option(500, "Number of items.")
    rows_per_span: int = option(100_000, "Rows of each file, malformed ones included.")
    spans: int = option(3, "Number of files, one for each day.")
    start: str = option("2024-01-01", "Day of the first span.")
    seed: int = option(0, "Everything random comes from it.")
    base_click_rate: float = option(0.25, "Mean probability of a click.")
    zipf_exponent: float = option(0.8, "Item of rank r is shown in proportion to r ** -this.")
    factors: int = option(2, "Dimension of the user and item factors.")
    taste: float = option(0.65, "Strength of user x item.")
    popularity: float = option(0.35, "Strength of an item's popularity.")
    item_effect: float = option(0.75, "Strength of an item's category, tags and own appeal.")
    price_effect: float = option(0.4, "Strength of the price; clicks fall as it rises.")
    hour_effect: float = option(0.5, "Strength of the hour, which depends on the device.")
    position_bias: float = option(0.6, "Strength of the position; clicks fall as it rises.")
    noise: float = option(0.0, "Fraction of labels drawn blindly at the base click rate.")
    drift: float = option(0.0, "How far item factors move from span to span; 1: all new.")
    missing_prices: float = option(0.02, "Fraction of rows that show no price.")
    quoted_titles: float = option(
        0.01, "Fraction of (valid) rows whose title holds a comma, quotes and a line break."
    )
    malformed_fraction: float = option(0.005, "Fraction of malformed rows, all kinds alike.")
    stray_quotes: bool = option(
        False, "Adds malformed rows with a quote that never closes, which may swallow others."
    )
    last_fraction: float = option(0.1, "The optimum is also given for these last rows by time.")

    def __post_init__(self) -> None:
        for name in ("users", "items", "rows_per_span", "spans", "factors"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: got {getattr(self, name)}; takes 1 or more.")
        if self.seed < 0:
            raise ConfigError(f"seed: got {self.seed}; takes 0 or more.")
        for name in (
            "zipf_exponent",
            "taste",
            "popularity",
            "item_effect",
            "price_effect",
            "hour_effect",
            "position_bias",
        ):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name}: got {getattr(self, name)}; takes 0 or more.")
        for name in ("noise", "drift", "missing_prices", "quoted_titles", "malformed_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}: got {getattr(self, name)}; takes 0 <= x <= 1.")
        for name in ("base_click_rate", "last_fraction"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"{name}: got {getattr(self, name)}; takes 0 < x < 1.")
        try:
            date.fromisoformat(self.start) + timedelta(days=self.spans)
        except (ValueError, OverflowError):
            raise ConfigError(f"start: got {self.start!r}; takes a day: 2024-01-31.") from None


@dataclass(frozen=True)
class World:
    """All that does not change from span to span. Shapes: U users, I items, D factors."""

    user_factors: Floats  # [U, D]
    category_factors: Floats  # [categories, D]
    user_share: Floats  # [U], sums to 1
    item_share: Floats  # [I], sums to 1
    item_effect: Floats  # [I], popularity, category, tags and own appeal
    item_category: Ints  # [I]
    item_log_price: Floats  # [I]
    item_tags: list[str]  # [I], joined by |
    user_device: Ints  # [U], the device of most of a user's rows
    bias: float


@dataclass(frozen=True)
class Rows:
    """The rows of one span, by time."""

    second: Ints  # of the day
    user: Ints
    item: Ints
    device: Ints
    position: Ints  # 1..POSITIONS
    price: Floats  # NaN where not shown
    logit: Floats  # without position


def generator(config: SimulatorConfig, span: int, purpose: int) -> np.random.Generator:
    """Random numbers of their own for each span and purpose, so that no span shifts another's."""
    return np.random.default_rng([config.seed, span, purpose])


def create_world(config: SimulatorConfig) -> World:
    """Draws users and items, and sets the bias."""
    rng = generator(config, 0, 0)
    rank = rng.permutation(config.items) + 1.0
    item_share = rank**-config.zipf_exponent
    item_share /= item_share.sum()
    user_share = np.exp(rng.normal(0.0, 0.5, config.users))
    item_category = rng.integers(len(CATEGORIES), size=config.items)
    tag_sets = [
        np.sort(rng.choice(len(TAGS), size, replace=False))
        for size in rng.integers(1, 4, config.items)
    ]
    tag_effect = rng.normal(size=len(TAGS))
    appeal = (
        rng.normal(size=len(CATEGORIES))[item_category]
        + np.array([tag_effect[tags].mean() for tags in tag_sets])
        + rng.normal(size=config.items)
    )
    log_share = np.log(item_share)
    spread = float(log_share.std()) or 1.0
    world = World(
        user_factors=rng.normal(size=(config.users, config.factors)),
        category_factors=rng.normal(size=(len(CATEGORIES), config.factors)),
        user_share=user_share / user_share.sum(),
        item_share=item_share,
        item_effect=config.popularity * (log_share - log_share.mean()) / spread
        + config.item_effect * appeal / math.sqrt(3),
        item_category=item_category,
        item_log_price=rng.normal(_LOG_PRICE_MEAN, _LOG_PRICE_SD, config.items),
        item_tags=["|".join(TAGS[tag] for tag in tags) for tags in tag_sets],
        user_device=rng.integers(len(DEVICES), size=config.users),
        bias=0.0,
    )
    rows = draw_rows(config, world, item_factors(config, world, 1), 20_000, generator(config, 0, 1))
    return replace(world, bias=_bias(_shown(config, rows), config.base_click_rate))


def _bias(logits: Floats, rate: float) -> float:
    """The number that, added to `logits`, makes their mean probability `rate`; by bisection."""
    low, high = -50.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        if _sigmoid(logits + middle).mean() < rate:
            low = middle
        else:
            high = middle
    return low


def item_factors(config: SimulatorConfig, world: World, span: int) -> Floats:
    """Factors of the items in a span, [I, D]: the random walk from span 1 on."""
    shape = (config.items, config.factors)
    own = generator(config, 1, 2).normal(size=shape)
    shared = world.category_factors[world.item_category]
    factors: Floats = math.sqrt(0.7) * shared + math.sqrt(0.3) * own
    for step in range(2, span + 1):
        fresh = generator(config, step, 2).normal(size=shape)
        factors = math.sqrt(1 - config.drift**2) * factors + config.drift * fresh
    return factors


def draw_rows(
    config: SimulatorConfig,
    world: World,
    factors: Floats,
    count: int,
    rng: np.random.Generator,
) -> Rows:
    """Draws who sees what and when, and the logit of a click there."""
    traffic = 1 + 0.6 * np.cos(2 * np.pi * (np.arange(24) - 19) / 24)
    hour = rng.choice(24, count, p=traffic / traffic.sum())
    second = np.sort(hour * 3600 + rng.integers(3600, size=count))
    user = rng.choice(config.users, count, p=world.user_share)
    item = rng.choice(config.items, count, p=world.item_share)
    device = np.where(
        rng.random(count) < 0.8, world.user_device[user], rng.integers(len(DEVICES), size=count)
    )
    price = np.exp(world.item_log_price[item] + rng.normal(0.0, 0.2, count))
    price = np.maximum(np.round(price, 2), 0.01)
    price[rng.random(count) < config.missing_prices] = np.nan
    price_z = np.nan_to_num((np.log(price) - _LOG_PRICE_MEAN) / _LOG_PRICE_SD)
    taste = np.einsum("nd,nd->n", world.user_factors[user], factors[item])
    daytime = np.cos(2 * np.pi * (second // 3600 - _PEAK_HOURS[device]) / 24)
    return Rows(
        second=second,
        user=user,
        item=item,
        device=device,
        position=rng.integers(1, POSITIONS + 1, size=count),
        price=price,
        logit=world.bias
        + config.taste / math.sqrt(config.factors) * taste
        + world.item_effect[item]
        - config.price_effect * price_z
        + config.hour_effect * daytime,
    )


def _shown(config: SimulatorConfig, rows: Rows) -> Floats:
    """Logits at the position of each row."""
    return rows.logit - config.position_bias * np.log(rows.position)


def _sigmoid(logits: Floats) -> Floats:
    return np.asarray(np.exp(-np.logaddexp(0, -logits)), np.float64)


def draw_truth(config: SimulatorConfig, rows: Rows, rng: np.random.Generator) -> Truth:
    """Draws the labels and keeps the probabilities that they were drawn with."""

    def blur(probability: Floats) -> Floats:
        return (1 - config.noise) * probability + config.noise * config.base_click_rate

    by_position = [
        _sigmoid(rows.logit - config.position_bias * math.log(position))
        for position in range(1, POSITIONS + 1)
    ]
    known = blur(_sigmoid(_shown(config, rows)))
    label = (rng.random(len(known)) < known).astype(np.float64)
    return Truth(label, known, blur(by_position[0]), blur(np.mean(by_position, axis=0)))
