"""The procedural painter: landscapes from a motif, as a long exposure of many slightly different ones."""

import math
import random

from PIL import Image, ImageDraw, ImageOps

from cyberun_mcp.emulator.workflows.drawing import clouds, grain, levels, ramp, spot
from cyberun_mcp.emulator.workflows.job import Job
from cyberun_mcp.emulator.workflows.outlines import broken_line, build, flock, plant
from cyberun_mcp.emulator.workflows.prompts import Motif, mixed

_BICUBIC = Image.Resampling.BICUBIC


class Landscape:
    """One scene. Each exposure draws it anew, with the air, the water and the hand a little different.

    `job.checkpoint` stands between the operations, so that even a large picture can be stopped at any moment.
    """

    def __init__(self, motif: Motif, size: tuple[int, int], job: Job) -> None:
        self._motif = motif
        self._size = size
        self._job = job
        self._palette = motif.palette
        width, height = size
        chance = motif.chance("composition")
        self._horizon = round(height * chance.uniform(0.52, 0.62))
        self._light = (width * chance.uniform(0.25, 0.75), self._horizon - height * chance.uniform(0.04, 0.3))
        self._light_radius = min(size) * chance.uniform(0.045, 0.08)
        self._sky_colours = ImageOps.colorize(ramp((width, height)), self._palette.zenith, self._palette.horizon)
        self._cloud_field = clouds(motif.chance("clouds"), (width * 2, height * 2), stretch=2)
        self._layers = [self._ridge(number) for number in range(4)]
        self._stars = self._star_field() if "stars" in motif.things else None

    def expose(self, number: int) -> Image.Image:
        """One exposure."""
        chance = self._motif.chance(f"exposure {number}")
        picture = self._sky(chance)
        self._job.checkpoint()
        for depth, mask in enumerate(self._layers):
            self._lay(picture, mask, depth / (len(self._layers) - 1), chance)
            self._job.checkpoint()
        if "water" in self._motif.things:
            self._flood(picture, chance)
            self._job.checkpoint()
        self._weather(picture, chance)
        return picture

    def _sky(self, chance: random.Random) -> Image.Image:
        width, height = self._size
        sky = self._sky_colours.copy()
        if self._stars:
            sky.paste(self._palette.light, (0, 0), self._stars)
        self._job.checkpoint()
        glow = spot(self._size, self._light, max(self._size) * 0.6, 0.75)
        sky.paste(self._palette.light, (0, 0), glow)
        self._disc(sky)
        self._job.checkpoint()
        # The clouds drift on from exposure to exposure: a window on a field twice as large.
        left, top = chance.uniform(0, width * 0.06), chance.uniform(0, height * 0.02)
        veil = self._cloud_field.resize(self._size, _BICUBIC, box=(left, top, left + width * 1.6, top + height * 1.9))
        sky.paste(mixed(self._palette.light, self._palette.horizon, 0.4), (0, 0), levels(veil, 128, 200, 0.7))
        return sky

    def _disc(self, sky: Image.Image) -> None:
        x, y = self._light
        radius = self._light_radius
        # Drawn four times as large on a small patch: an edge without steps.
        side = math.ceil(radius * 2)
        mask = Image.new("L", (side * 4, side * 4), 0)
        ImageDraw.Draw(mask).ellipse((0, 0, side * 4 - 1, side * 4 - 1), fill=255)
        if "moon" in self._motif.things:
            ImageDraw.Draw(mask).ellipse((side * 1.3, -side * 0.4, side * 5, side * 3.4), fill=0)
        sky.paste(self._palette.light, (round(x - radius), round(y - radius)), mask.resize((side, side), _BICUBIC))

    def _star_field(self) -> Image.Image:
        chance = self._motif.chance("stars")
        width, height = self._size
        field = Image.new("L", self._size, 0)
        draw = ImageDraw.Draw(field)
        for _ in range(width * height // 700):
            x, y = chance.uniform(0, width), chance.uniform(0, self._horizon) * chance.uniform(0.2, 1)
            size = chance.choice((0, 0, 0, 0.6, 1))
            draw.ellipse((x - size, y - size, x + size, y + size), fill=chance.randint(60, 255))
        return field

    def _ridge(self, depth: int) -> Image.Image:
        """The mask of one range of hills, or of houses: everything below its line, at twice the size."""
        width, height = self._size
        chance = self._motif.chance(f"ridge {depth}")
        relief, roughness = self._relief()
        base = self._horizon + (depth - 1.2) * height * 0.09
        line = broken_line(chance, width * 2, height * relief, roughness)
        points = [(x, (base + offset) * 2) for x, offset in line]
        mask = Image.new("L", (width * 2, height * 2), 0)
        draw = ImageDraw.Draw(mask)
        draw.polygon([*points, (width * 2, height * 2), (0, height * 2)], fill=255)
        if "trees" in self._motif.things and depth >= 2:
            plant(draw, chance, points, height * 0.03 * depth)
        if "city" in self._motif.things and depth in (1, 2):
            build(draw, chance, width * 2, base * 2, height * 0.5 / depth)
        return mask.resize(self._size, _BICUBIC)

    def _relief(self) -> tuple[float, float]:
        """How high the hills are, as a part of the picture, and how jagged."""
        if "mountains" in self._motif.things:
            return 0.18, 0.54
        if "dunes" in self._motif.things:
            return 0.05, 0.3
        return (0.045, 0.5) if "water" in self._motif.things else (0.13, 0.52)

    def _lay(self, picture: Image.Image, mask: Image.Image, nearness: float, chance: random.Random) -> None:
        """Paint one range: darker the nearer, hazier towards its foot, with a grain that changes with each exposure."""
        colour = mixed(self._palette.far, self._palette.near, nearness)
        haze = mixed(colour, self._palette.horizon, 0.45 * (1 - nearness) + 0.08)
        texture = clouds(chance, self._size, octaves=6)
        body = ImageOps.colorize(texture, mixed(colour, (0, 0, 0), 0.25), haze)
        offset = (chance.uniform(-0.7, 0.7), chance.uniform(-0.7, 0.7))
        moved = mask.transform(
            self._size, Image.Transform.AFFINE, (1, 0, offset[0], 0, 1, offset[1]), Image.Resampling.BILINEAR
        )
        picture.paste(body, (0, 0), moved)

    def _flood(self, picture: Image.Image, chance: random.Random) -> None:
        """Turn the lower part into water: the upper part upside down, in stripes that each lie a little off."""
        width, height = self._size
        shore = min(height - 8, round(self._horizon + height * 0.1))
        depth = height - shore
        mirrored = picture.crop((0, max(0, shore - depth), width, shore)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        mirrored = mirrored.resize((width, depth), _BICUBIC)
        water = mirrored.copy()
        y = 0
        while y < depth:
            stripe = 1 + y // 24
            shift = round(chance.gauss(0, 1 + y / depth * width * 0.012))
            water.paste(mirrored.crop((0, y, width, min(depth, y + stripe))), (shift, y))
            y += stripe
        tint = Image.new("RGB", (width, depth), mixed(self._palette.near, self._palette.zenith, 0.5))
        water = Image.blend(water, tint, 0.28)
        glints = levels(grain(chance, max(2, width // 18), max(2, depth // 3)), 190, 255, 0.8).resize(
            (width, depth), _BICUBIC
        )
        lane = spot((width, depth), (self._light[0], 0), width * 0.4, 1.0)
        water.paste(self._palette.light, (0, 0), Image.composite(glints, Image.new("L", (width, depth), 0), lane))
        picture.paste(water, (0, shore))

    def _weather(self, picture: Image.Image, chance: random.Random) -> None:
        width, height = self._size
        draw = ImageDraw.Draw(picture)
        if "snowfall" in self._motif.things:
            for _ in range(width // 5):
                x, y, size = chance.uniform(0, width), chance.uniform(0, height), chance.uniform(0.5, 2.2)
                draw.ellipse((x - size, y - size, x + size, y + size), fill=(250, 252, 255))
        if "rain" in self._motif.things:
            for _ in range(width // 4):
                x, y, length = chance.uniform(0, width), chance.uniform(0, height), chance.uniform(8, 26)
                draw.line((x, y, x - length * 0.2, y + length), fill=(196, 206, 214))
        if "birds" in self._motif.things:
            flock(draw, self._motif.chance("birds"), self._size, self._horizon, self._palette.near)
