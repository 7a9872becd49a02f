"""What to draw for a prompt: the palette and the elements that its words name."""

import colorsys
import hashlib
import random
import re
from dataclasses import dataclass

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Palette:
    """The colors of a picture, from the top of the sky to the foreground."""

    zenith: Color
    horizon: Color
    light: Color
    far: Color
    near: Color


def mix_colors(first: Color, second: Color, share: float) -> Color:
    """The first color with a `share` (0 to 1) of the second."""
    red, green, blue = (round(one + (other - one) * share) for one, other in zip(first, second, strict=True))
    return red, green, blue


# The first word of a prompt that is listed here selects the palette.
_PALETTES: dict[tuple[str, ...], Palette] = {
    ("sunset", "dusk", "evening", "golden"): Palette(
        (48, 36, 96), (255, 146, 84), (255, 226, 150), (150, 88, 120), (38, 20, 48)
    ),
    ("sunrise", "dawn", "morning"): Palette(
        (96, 132, 190), (255, 202, 170), (255, 244, 210), (164, 150, 182), (54, 56, 84)
    ),
    ("night", "midnight", "moon", "moonlit", "stars", "starry", "dark"): Palette(
        (6, 10, 30), (34, 54, 98), (228, 234, 255), (36, 50, 84), (6, 10, 22)
    ),
    ("space", "galaxy", "nebula", "cosmos", "cosmic", "planet"): Palette(
        (4, 2, 16), (70, 22, 96), (240, 214, 255), (60, 30, 96), (8, 4, 20)
    ),
    ("storm", "stormy", "rain", "rainy", "thunder", "fog", "foggy", "mist"): Palette(
        (58, 66, 78), (158, 166, 172), (222, 228, 230), (104, 114, 122), (34, 40, 46)
    ),
    ("snow", "snowy", "winter", "ice", "arctic", "frozen"): Palette(
        (120, 160, 204), (236, 242, 250), (255, 255, 255), (176, 198, 222), (82, 104, 134)
    ),
    ("fire", "volcano", "lava", "burning", "hell"): Palette(
        (26, 6, 10), (206, 58, 20), (255, 190, 70), (110, 30, 24), (18, 6, 8)
    ),
    ("desert", "dune", "dunes", "sand", "mars", "canyon"): Palette(
        (92, 150, 196), (250, 222, 176), (255, 246, 214), (214, 150, 96), (122, 66, 38)
    ),
    ("neon", "cyberpunk", "synthwave", "vaporwave"): Palette(
        (18, 6, 48), (236, 52, 150), (112, 244, 255), (84, 30, 132), (12, 6, 34)
    ),
    ("autumn", "fall", "october"): Palette(
        (122, 156, 186), (250, 220, 176), (255, 240, 200), (190, 116, 62), (86, 38, 20)
    ),
    ("forest", "jungle", "woods", "spring", "meadow", "green"): Palette(
        (104, 168, 190), (226, 240, 206), (255, 250, 214), (98, 146, 112), (18, 50, 36)
    ),
    ("day", "noon", "summer", "sunny", "beach", "sky", "blue"): Palette(
        (48, 120, 204), (196, 228, 246), (255, 250, 224), (112, 152, 180), (30, 70, 70)
    ),
}
_ELEMENTS: dict[str, str] = {
    "water": "ocean sea lake river water beach island coast bay harbor harbour pond boat ship",
    "mountains": "mountain mountains peak peaks alps cliff cliffs fjord volcano",
    "trees": "forest jungle woods tree trees pine pines meadow park autumn",
    "city": "city town skyline street cyberpunk metropolis building buildings tower towers tokyo",
    "stars": "night midnight stars starry space galaxy nebula cosmos cosmic planet moon moonlit",
    "dunes": "desert dune dunes sand hill hills meadow field fields",
    "birds": "bird birds gull gulls seagull eagle crow crows flock",
    "snowfall": "snow snowy winter blizzard",
    "rain": "rain rainy storm stormy thunder",
    "moon": "night midnight moon moonlit",
}


@dataclass(frozen=True)
class Scene:
    """What to draw: from the prompt as far as its words are listed here, otherwise random."""

    palette: Palette
    elements: frozenset[str]
    random_seed: str
    """A hash of prompt and seed, so that both together determine the picture."""

    def rng(self, purpose: str) -> random.Random:
        """A random generator for one purpose, so that drawing one element does not change another."""
        return random.Random(f"{self.random_seed}/{purpose}")  # noqa: S311 - not for security


def scene_from_prompt(prompt: str, seed: int) -> Scene:
    """The scene for a prompt and the `seed` parameter of the workflow."""
    words = re.findall(r"\w+", prompt.lower())
    elements = frozenset(element for element, names in _ELEMENTS.items() if set(names.split()).intersection(words))
    key = hashlib.sha256(f"{seed}\n{prompt}".encode()).hexdigest()
    palette = next((palette for word in words for names, palette in _PALETTES.items() if word in names), None)
    return Scene(palette or _palette_by_hash(prompt), elements or _elements_by_hash(key), key)


def _palette_by_hash(prompt: str) -> Palette:
    """A palette for a prompt without listed words: a hue from its hash, and the complement for the light."""
    hue = hashlib.sha256(prompt.encode()).digest()[0] / 256

    def color(shift: float, saturation: float, value: float) -> Color:
        red, green, blue = colorsys.hsv_to_rgb((hue + shift) % 1, saturation, value)
        return round(red * 255), round(green * 255), round(blue * 255)

    return Palette(
        zenith=color(0, 0.65, 0.45),
        horizon=color(0.08, 0.3, 0.95),
        light=color(0.5, 0.15, 1),
        far=color(0.04, 0.4, 0.65),
        near=color(-0.04, 0.6, 0.2),
    )


def _elements_by_hash(key: str) -> frozenset[str]:
    return frozenset({("water", "trees", "dunes", "birds")[int(key[0], 16) % 4]})
