"""Make features of images in many tasks, fit one linear classifier to all of them, and print how good it is on images left out.

python examples/image_features.py                     the digits that scikit-learn ships
python examples/image_features.py images.npz          arrays "images" (gray or colour) and "labels"

Needs NumPy, and scikit-learn without a file. The features are like GIST's (Oliva and Torralba, 2001): how much of which orientation and
fineness there is in each part of the image. They go from the tasks that make them to those that need them through the store;
the client sees only how many images were told right.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import wrens

SIDE = 32
"""Pixels of a scaled image in each direction."""
FINENESSES, ORIENTATIONS, BLOCKS = 4, 8, 4
PENALTY = 0.1
"""Of large weights; features are about 1."""

Array = np.ndarray[Any, Any]


def scaled(image: Array) -> Array:
    """Return the square in the middle of an image in gray, with SIDE pixels in each direction, light and contrast taken out."""
    gray = image.mean(axis=2) if image.ndim == 3 else image.astype(float)
    side = min(gray.shape)
    top, left = ((length - side) // 2 for length in gray.shape)
    weights = resampling(side)
    small = weights @ gray[top : top + side, left : left + side] @ weights.T
    small -= small.mean()
    return small / max(small.std(), 1e-9)


def resampling(side: int) -> Array:
    """Return what each of ``side`` pixels in a row adds to each of SIDE: linear between two, or over all that fall into one."""
    at = (np.arange(SIDE) + 0.5) * side / SIDE
    apart = np.abs(np.arange(side) + 0.5 - at[:, None])
    weights = np.maximum(0, 1 - apart / max(1, side / SIDE))
    return weights / weights.sum(axis=1, keepdims=True)


def filters() -> Array:
    """Return, for each fineness and orientation, what a filter lets pass of each frequency; each finer one is an octave higher."""
    frequency = np.fft.fftfreq(SIDE)
    down, right = np.meshgrid(frequency, frequency, indexing="ij")
    octaves = np.log2(np.maximum(np.hypot(down, right), 1e-9) * 4)
    angles = np.arctan2(down, right)
    found = []
    for fineness in range(FINENESSES):
        for orientation in range(ORIENTATIONS):
            turned = np.angle(np.exp(1j * (angles - np.pi * orientation / ORIENTATIONS)))
            wide = 0.8 * np.pi / ORIENTATIONS
            found.append(np.exp(-2 * (octaves + fineness) ** 2 - (turned / wide) ** 2 / 2))
    return np.array(found, np.float32)


def features(images: Sequence[Array]) -> Array:
    """Return a row for each image: the mean energy that each filter passes in each of BLOCKS x BLOCKS parts of it."""
    spectra = np.fft.fft2(np.array([scaled(image) for image in images], np.float32))
    inside = (len(images), BLOCKS, SIDE // BLOCKS, BLOCKS, SIDE // BLOCKS)
    energies = [
        np.abs(np.fft.ifft2(spectra * passed)).reshape(inside).mean(axis=(2, 4)) for passed in filters()
    ]
    return np.stack(energies, axis=1).reshape(len(images), -1).astype(float)


@dataclass(frozen=True)
class Linear:
    """A classifier: the class whose column of weights gives the most."""

    classes: Array
    weights: Array

    def predict(self, rows: Array) -> Array:
        """Return the class of each row of features."""
        return self.classes[(with_one(rows) @ self.weights).argmax(axis=1)]


def with_one(rows: Array) -> Array:
    """Return rows with a last feature that is always 1, whose weight is the intercept."""
    return np.hstack((rows, np.ones((len(rows), 1))))


def fit(parts: Iterable[Array], labels: Array) -> Linear:
    """Fit a ridge regression to 1 for an image's own class and -1 for the others, without all features at a time in memory."""
    classes, first = np.unique(labels), 0
    gram: Any = 0
    aimed: Any = 0
    for part in parts:
        rows, own = with_one(part), labels[first : first + len(part), None] == classes
        gram = gram + rows.T @ rows
        aimed = aimed + rows.T @ np.where(own, 1.0, -1.0)
        first += len(part)
    penalties = np.full(len(gram), PENALTY)
    penalties[-1] = 0  # of the intercept
    return Linear(classes, np.linalg.solve(gram + np.diag(penalties), aimed))


def right(model: Linear, rows: Array, labels: Array) -> int:
    """Count the images that are told right."""
    return int((model.predict(rows) == labels).sum())


def learn(ex: wrens.Executor, images: Sequence[Array], labels: Array, tasks: int) -> wrens.Future[Linear]:
    """Fit a classifier in one task to features that others make."""
    return wrens.gather(ex, fit, ex.map_async(features, split(images, tasks)), labels)


def evaluate(
    ex: wrens.Executor, model: wrens.Future[Linear], images: Sequence[Array], labels: Array, tasks: int
) -> int:
    """Count the images that a classifier tells right, which need not be there yet."""
    rows = ex.map_async(features, split(images, tasks))
    return sum(ex.map(right, itertools.repeat(model), rows, split(labels, tasks)))


def split(items: Sequence[Any], tasks: int) -> list[Sequence[Any]]:
    """Return images, or their labels, in parts of about the same number, of which none is empty."""
    borders = np.linspace(0, len(items), min(tasks, len(items)) + 1).astype(int)
    return [items[start:stop] for start, stop in itertools.pairwise(borders)]


def main() -> None:
    """Learn from some of the images that the command line names, and try the others."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", nargs="?", help="a .npz file; without it scikit-learn's digits")
    parser.add_argument("--tasks", type=int, default=16)
    parser.add_argument(
        "--seed", type=int, default=1, help="chooses the third of the images that is left out"
    )
    parser.add_argument("--backend", default="local")
    parser.add_argument("--store")
    args = parser.parse_args()
    if args.file:
        with np.load(args.file) as arrays:
            images, labels = arrays["images"], arrays["labels"]
    else:
        from sklearn.datasets import load_digits

        images, labels = load_digits().images, load_digits().target
    order = np.random.default_rng(args.seed).permutation(len(images))
    out, learned = np.split(order, [len(order) // 3])
    with wrens.Executor(args.backend, store=args.store) as ex:
        model = learn(ex, images[learned], labels[learned], args.tasks)
        told = evaluate(ex, model, images[out], labels[out], args.tasks)
    print(f"{told} of {len(out)} images right, {told / len(out):.2%}, learned from {len(learned)} others")


if __name__ == "__main__":
    main()
