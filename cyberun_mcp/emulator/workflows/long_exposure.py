"""Averaging many pictures without losing what each adds."""

from PIL import Image


class LongExposure:
    """The mean of pictures that come one by one.

    Eight bits a colour are too few to add a hundredth of a picture to a mean: it would be rounded away. So pictures are
    paired like the carries of a binary counter, and only means of equally many pictures are ever halved together.
    """

    def __init__(self) -> None:
        self._carried: list[tuple[int, Image.Image]] = []

    def add(self, picture: Image.Image) -> None:
        """Take in one more."""
        count = 1
        while self._carried and self._carried[-1][0] == count:
            _, earlier = self._carried.pop()
            picture = Image.blend(earlier, picture, 0.5)
            count *= 2
        self._carried.append((count, picture))

    def developed(self) -> Image.Image:
        """The mean of all so far."""
        total, mean = self._carried[-1]
        for count, picture in reversed(self._carried[:-1]):
            total += count
            mean = Image.blend(mean, picture, count / total)
        return mean
