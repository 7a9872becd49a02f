"""The outlines of things in a landscape."""

import itertools
import random

from PIL import ImageDraw

from cyberun_mcp.emulator.workflows.prompts import Colour


def broken_line(chance: random.Random, width: int, height: float, roughness: float) -> list[tuple[float, float]]:
    """A mountain's outline by halving: each middle is moved by chance, half as far each time, roughly."""
    heights = [chance.uniform(-height, height) for _ in range(5)]
    reach = height
    while len(heights) < 257:
        reach *= roughness
        middles = [(left + right) / 2 + chance.uniform(-reach, reach) for left, right in itertools.pairwise(heights)]
        heights = [value for pair in zip(heights, middles, strict=False) for value in pair] + heights[-1:]
    return [(width * index / (len(heights) - 1), value) for index, value in enumerate(heights)]


def plant(draw: ImageDraw.ImageDraw, chance: random.Random, ground: list[tuple[float, float]], height: float) -> None:
    """Firs along a line of ground."""
    for x, y in ground[:: 2 if height < 40 else 3]:
        tall = height * chance.uniform(0.7, 1.9) * 2
        wide = tall * 0.2
        for tier in range(3):
            top, foot = y - tall * (1 - tier * 0.22), y - tall * (0.45 - tier * 0.25)
            half = wide * (0.5 + tier * 0.3)
            draw.polygon([(x, top), (x - half, foot + 2), (x + half, foot + 2)], fill=255)


def build(draw: ImageDraw.ImageDraw, chance: random.Random, width: float, ground: float, height: float) -> None:
    """Houses side by side; their windows let through what is behind."""
    x = 0.0
    while x < width:
        wide = chance.uniform(0.02, 0.06) * width
        tall = height * chance.uniform(0.2, 1) ** 1.6
        draw.rectangle((x, ground - tall, x + wide * 0.92, ground + height), fill=255)
        for row in range(int(tall / 14)):
            for column in range(int(wide / 14)):
                if chance.random() < 0.25:
                    left, top = x + 5 + column * 14, ground - tall + 6 + row * 14
                    draw.rectangle((left, top, left + 5, top + 6), fill=90)
        x += wide


def flock(
    draw: ImageDraw.ImageDraw, chance: random.Random, size: tuple[int, int], horizon: int, colour: Colour
) -> None:
    """A few birds in the sky."""
    centre = (size[0] * chance.uniform(0.3, 0.7), horizon * chance.uniform(0.25, 0.6))
    for _ in range(9):
        x, y = chance.gauss(centre[0], size[0] * 0.1), chance.gauss(centre[1], horizon * 0.1)
        span = size[0] * chance.uniform(0.008, 0.018)
        draw.line([(x - span, y - span * 0.4), (x, y), (x + span, y - span * 0.4)], fill=colour, width=2)
