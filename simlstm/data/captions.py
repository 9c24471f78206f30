"""Groups of captions of one picture as positive pairs."""

from collections.abc import Sequence


def pair_captions(groups: Sequence[str], sentences: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Pair each caption with the next one of its group, and the last with the first.

    Around the ring each caption stands once on either side, and the number of pairs grows with the captions, not with
    their square. Two captions make one pair; a caption alone, or repeated within its group, makes none.

    Args:
        groups: Group of each caption, in any order.
        sentences: The captions.

    Returns:
        First sentences, second sentences and the group of each pair; groups in the order of first appearance.
    """
    captions: dict[str, dict[str, None]] = {}
    for group, sentence in zip(groups, sentences, strict=True):
        captions.setdefault(group, {})[sentence] = None
    first: list[str] = []
    second: list[str] = []
    pair_groups: list[str] = []
    for group, members in captions.items():
        ring = list(members)
        count = len(ring) if len(ring) > 2 else len(ring) - 1
        first += ring[:count]
        second += (ring[1:] + ring[:1])[:count]
        pair_groups += [group] * count
    return first, second, pair_groups
