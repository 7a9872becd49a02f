"""Seeded noise and other building blocks of pictures, made with Pillow operations that release the interpreter lock."""

import random
from functools import lru_cache

from PIL import Image

_BICUBIC = Image.Resampling.BICUBIC


def grain(chance: random.Random, width: int, height: int) -> Image.Image:
    """Grey pixels by chance. Not `Image.effect_noise`: that one cannot be seeded."""
    return Image.frombytes("L", (width, height), chance.randbytes(width * height))


def clouds(chance: random.Random, size: tuple[int, int], *, stretch: int = 1, octaves: int = 5) -> Image.Image:
    """Smooth noise: grain at doubling resolutions, each half as strong as the one before."""
    total = Image.new("L", size, 128)
    for octave in range(octaves):
        cells = 3 * 2**octave
        layer = grain(chance, cells, cells * stretch).resize(size, _BICUBIC)
        total = Image.blend(total, layer, 0.5 ** (octave * 0.7 + 0.6) if octave else 1)
    return total


def levels(image: Image.Image, low: float, high: float, strength: float = 1.0) -> Image.Image:
    """Spread the greys between `low` and `high` over the whole range; below is black, above is `strength`."""
    return image.point([round(max(0.0, min(1.0, (grey - low) / (high - low))) * 255 * strength) for grey in range(256)])


@lru_cache(maxsize=16)
def ramp(size: tuple[int, int]) -> Image.Image:
    """A grey gradient from black at the top to white at the bottom."""
    return Image.linear_gradient("L").resize(size, _BICUBIC)


def spot(size: tuple[int, int], centre: tuple[float, float], radius: float, strength: float) -> Image.Image:
    """A round light that fades from its centre."""
    mask = Image.new("L", size, 0)
    side = max(2, round(radius * 2))
    disc = Image.radial_gradient("L").resize((side, side), _BICUBIC)
    # Black at the centre and white from the inscribed circle on, at 181 of 255; falls off like a glow, by the square.
    disc = disc.point([round(max(0.0, 1 - grey / 180) ** 2 * 255 * strength) for grey in range(256)])
    mask.paste(disc, (round(centre[0] - radius), round(centre[1] - radius)))
    return mask
