"""How a pause grows."""


def doubled(first: float, times: int, longest: float) -> float:
    """`first`, doubled so many times but never beyond `longest`; an hour of attempts would overflow a float."""
    return min(longest, first * 2.0 ** min(times, 60))
