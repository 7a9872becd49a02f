"""Building blocks of drawn images: noise, gradients, shapes, and averaging.

All use only Pillow operations that release the interpreter lock; see `Job`.
"""

import itertools
import random
from functools import lru_cache

from PIL import Image, ImageDraw

from cyberun_mcp.emulator.workflows.prompts import Color

_BICUBIC = Image.Resampling.BICUBIC


class ImageAverage:
    """The mean of images that are added one at a time.

    A mean with 8 bits per color cannot take in a hundredth of another image: it would be rounded away. So images are
    paired like the carries of a binary counter, and only means of equally many images are averaged with each other.
    """

    def __init__(self) -> None:
        self._means: list[tuple[int, Image.Image]] = []

    def add(self, image: Image.Image) -> None:
        """Add an image to the mean."""
        count = 1
        while self._means and self._means[-1][0] == count:
            _, earlier = self._means.pop()
            image = Image.blend(earlier, image, 0.5)
            count *= 2
        self._means.append((count, image))

    def mean(self) -> Image.Image:
        """The mean of all images added so far."""
        total, mean = self._means[-1]
        for count, image in reversed(self._means[:-1]):
            total += count
            mean = Image.blend(mean, image, count / total)
        return mean


def noise(rng: random.Random, width: int, height: int) -> Image.Image:
    """Random gray pixels. `Image.effect_noise` cannot be seeded."""
    return Image.frombytes("L", (width, height), rng.randbytes(width * height))


def smooth_noise(rng: random.Random, size: tuple[int, int], *, stretch: int = 1, octaves: int = 5) -> Image.Image:
    """Noise at doubling resolutions, each blended in more weakly than the one before."""
    total = Image.new("L", size, 128)
    for octave in range(octaves):
        cells = 3 * 2**octave
        layer = noise(rng, cells, cells * stretch).resize(size, _BICUBIC)
        total = Image.blend(total, layer, 0.5 ** (octave * 0.7 + 0.6) if octave else 1)
    return total


def stretch_levels(image: Image.Image, low: float, high: float, strength: float = 1.0) -> Image.Image:
    """Map the grays from `low` to `high` to the range from black to `strength` of white."""
    return image.point([round(max(0.0, min(1.0, (gray - low) / (high - low))) * 255 * strength) for gray in range(256)])


@lru_cache(maxsize=16)
def vertical_gradient(size: tuple[int, int]) -> Image.Image:
    """From black at the top to white at the bottom."""
    return Image.linear_gradient("L").resize(size, _BICUBIC)


def radial_glow(size: tuple[int, int], center: tuple[float, float], radius: float, strength: float) -> Image.Image:
    """A mask of a round light that fades from its center."""
    mask = Image.new("L", size, 0)
    side = max(2, round(radius * 2))
    disc = Image.radial_gradient("L").resize((side, side), _BICUBIC)
    # Pillow's gradient is black at the center and 181 of 255 at the inscribed circle. The glow falls with the square.
    disc = disc.point([round(max(0.0, 1 - gray / 180) ** 2 * 255 * strength) for gray in range(256)])
    mask.paste(disc, (round(center[0] - radius), round(center[1] - radius)))
    return mask


def fractal_line(rng: random.Random, width: int, height: float, roughness: float) -> list[tuple[float, float]]:
    """The outline of a range of hills, by midpoint displacement: `roughness` is the ratio of one step to the last."""
    heights = [rng.uniform(-height, height) for _ in range(5)]
    reach = height
    while len(heights) < 257:
        reach *= roughness
        middles = [(left + right) / 2 + rng.uniform(-reach, reach) for left, right in itertools.pairwise(heights)]
        heights = [value for pair in zip(heights, middles, strict=False) for value in pair] + heights[-1:]
    return [(width * index / (len(heights) - 1), value) for index, value in enumerate(heights)]


def draw_trees(draw: ImageDraw.ImageDraw, rng: random.Random, ground: list[tuple[float, float]], height: float) -> None:
    """Draw fir trees along a line."""
    for x, y in ground[:: 2 if height < 40 else 3]:
        tree_height = height * rng.uniform(0.7, 1.9) * 2
        tree_width = tree_height * 0.2
        for tier in range(3):
            top, bottom = y - tree_height * (1 - tier * 0.22), y - tree_height * (0.45 - tier * 0.25)
            half = tree_width * (0.5 + tier * 0.3)
            draw.polygon([(x, top), (x - half, bottom + 2), (x + half, bottom + 2)], fill=255)


def draw_buildings(draw: ImageDraw.ImageDraw, rng: random.Random, width: float, ground: float, height: float) -> None:
    """Draw a row of buildings; their windows are half transparent."""
    x = 0.0
    while x < width:
        building_width = rng.uniform(0.02, 0.06) * width
        building_height = height * rng.uniform(0.2, 1) ** 1.6
        draw.rectangle((x, ground - building_height, x + building_width * 0.92, ground + height), fill=255)
        for row in range(int(building_height / 14)):
            for column in range(int(building_width / 14)):
                if rng.random() < 0.25:
                    left, top = x + 5 + column * 14, ground - building_height + 6 + row * 14
                    draw.rectangle((left, top, left + 5, top + 6), fill=90)
        x += building_width


def draw_birds(
    draw: ImageDraw.ImageDraw, rng: random.Random, size: tuple[int, int], horizon: int, color: Color
) -> None:
    """Draw a flock of birds in the sky."""
    center = (size[0] * rng.uniform(0.3, 0.7), horizon * rng.uniform(0.25, 0.6))
    for _ in range(9):
        x, y = rng.gauss(center[0], size[0] * 0.1), rng.gauss(center[1], horizon * 0.1)
        span = size[0] * rng.uniform(0.008, 0.018)
        draw.line([(x - span, y - span * 0.4), (x, y), (x + span, y - span * 0.4)], fill=color, width=2)
