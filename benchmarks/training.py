"""Training speed: bneck's trainer against a plain PyTorch loop, as the ratio of one run.

Both train MobileNetV3-Small (10 classes) from the same weights with AdamW on batches of the same
32 px images: the plain loop torchvision's module in torch's default memory layout, without
augmentation or averaging; bneck's trainer bneck's module. Chunks of steps alternate, so that a
machine that drifts slows both.
"""

import argparse
import json
import statistics
import sys
import time

import torch
from torch import nn
from torchvision.models import mobilenet_v3_small

from bneck.cli import exit_code_of, whole_number
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.loading import load
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import train
from bneck.space import presets
from bneck.space.backends import torch_model, torchvision_weights


def plain_images_per_second(network: nn.Module, images: ImageSource, recipe: Recipe) -> float:
    """A training loop as tutorials write it."""
    optimizer = torch.optim.AdamW(network.parameters(), recipe.learning_rate)
    network.train()
    began = time.perf_counter()
    for _ in range(recipe.steps):
        rows = torch.randint(len(images.train), (recipe.batch_size,))
        pixels = images.train.pixels(rows).float().contiguous() / 255
        loss = nn.functional.cross_entropy(network(pixels), images.train.labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return recipe.steps * recipe.batch_size / (time.perf_counter() - began)


def the_same_network(images: ImageSource) -> tuple[nn.Module, nn.Module]:
    """torchvision's module and bneck's, with the same weights."""
    theirs = mobilenet_v3_small(num_classes=images.info.classes)
    arch = presets.build(
        "mobilenet_v3_small", resolution_px=images.info.resolution_px, classes=images.info.classes
    )
    ours = torch_model.Network(arch)
    ours.load_state_dict(torchvision_weights.from_torchvision(theirs.state_dict(), arch))
    return theirs, ours


def main() -> None:
    """Print both speeds and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=whole_number, default=8, help="pairs of chunks")
    parser.add_argument("--steps", type=whole_number, default=10, help="steps in a chunk")
    parser.add_argument("--batch", type=whole_number, default=128)
    parser.add_argument("--threads", type=whole_number, default=2)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    images = load("digits").subset(val=10, seed=0)
    recipe = Recipe(steps=arguments.steps, batch_size=arguments.batch)
    plain, ours = the_same_network(images)
    speeds = []
    for pair in range(arguments.pairs + 1):
        slow = plain_images_per_second(plain, images, recipe)
        fast = recipe.steps * recipe.batch_size / train(ours, images, recipe, seed=pair).seconds
        speeds.append((slow, fast))
    slows, fasts = zip(*speeds[1:], strict=True)  # the first pair warms up
    ratios = sorted(fast / slow for slow, fast in speeds[1:])
    result = {
        "plain_images_per_second": round(statistics.median(slows)),
        "bneck_images_per_second": round(statistics.median(fasts)),
        "ratio": round(statistics.median(ratios), 2),
        "ratio_range": [round(ratios[0], 2), round(ratios[-1], 2)],
        "pairs": arguments.pairs,
        "batch": arguments.batch,
        "threads": arguments.threads,
    }
    if arguments.json:
        print(json.dumps(result))
    else:
        print(
            f"plain loop {result['plain_images_per_second']} images/s, "
            f"bneck {result['bneck_images_per_second']} images/s: {result['ratio']} times as fast "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f} over {arguments.pairs} pairs)"
        )


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
