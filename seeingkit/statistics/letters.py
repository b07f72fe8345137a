"""Groups that cannot be told apart, and ranks that are sure, from claims about pairs.

Guarantees: two members share a letter if and only if nothing is claimed between them; the groups
are as large as the claims allow; all depends on claims and order alone, never on names.

The compact letter display of Piepho (2004). His algorithm, insert and absorb, makes every largest
group, of which there may be 3^(k/3); a set of letters is the same as a cover of the pairs without a
claim by groups without a claim inside (Gramm et al. 2007), and covering one pair after another, in
order, needs at most as many letters as there are pairs. Where claims follow the order (whoever is
told apart from a neighbour is so from all beyond it), both make the same groups.
"""

from __future__ import annotations

from string import ascii_lowercase, ascii_uppercase

import numpy as np

from .arrays import Booleans, Integers


def closure(claims: Booleans) -> Booleans:
    """(k, k) claims with all that follow from them: a < b and b < c give a < c.

    Where both claims are true their consequence is, so no error is added.

    Args:
        claims: (k, k), whether the member of the row is surely below that of the column.

    >>> steps = np.eye(3, k=1, dtype=bool)
    >>> closure(steps).astype(int).tolist()
    [[0, 1, 1], [0, 0, 1], [0, 0, 0]]
    """
    found = claims.copy()
    for k in range(len(found)):
        found |= np.outer(found[:, k], found[k])
    return found


def groups(claims: Booleans) -> list[Integers]:
    """Groups of members without a claim inside that cover all pairs without a claim.

    Args:
        claims: (k, k), in either direction, members in the order in which groups are named.

    Returns:
        The members of each group, ascending; groups by their first members.

    >>> [found.tolist() for found in groups(np.eye(3, k=2, dtype=bool))]
    [[0, 1], [1, 2]]
    """
    apart: Booleans = np.logical_or(claims, claims.T)
    size = len(apart)
    joined = ~apart
    covered = apart.copy()
    found: list[Integers] = []
    for first in range(size):
        for second in range(first, size):
            if covered[first, second]:
                continue
            inside = _largest(joined, covered, first, second)
            covered[np.ix_(inside, inside)] = True
            found.append(inside)
    return _needed(sorted(found, key=lambda one: tuple(one.tolist())), joined)


def _largest(joined: Booleans, covered: Booleans, first: int, second: int) -> Integers:
    """A group with both members that no other could join; who brings most new pairs comes first."""
    chosen = [first] if first == second else [first, second]
    able: Booleans = np.logical_and.reduce(joined[chosen], axis=0)
    able[chosen] = False
    away = np.abs(np.arange(len(joined)) - (first + second) / 2)
    while able.any():
        new = (~covered[:, chosen]).sum(axis=1)
        candidates = np.flatnonzero(able)
        best = candidates[np.lexsort((away[candidates], -new[candidates]))[0]]
        chosen.append(int(best))
        able &= joined[best]
        able[best] = False
    return np.sort(np.array(chosen, dtype=np.intp))


def _needed(found: list[Integers], joined: Booleans) -> list[Integers]:
    """The groups without those of which every pair is in another one, smallest tried first."""
    count = np.zeros(joined.shape, dtype=np.intp)
    for one in found:
        count[np.ix_(one, one)] += 1
    kept = list(range(len(found)))
    for k in sorted(kept, key=lambda k: (len(found[k]), k)):
        here = np.ix_(found[k], found[k])
        if (count[here] > 1).all():
            count[here] -= 1
            kept.remove(k)
    return [found[k] for k in kept]


def letters(claims: Booleans) -> list[str]:
    """The letters of each member, joined by spaces.

    Args:
        claims: (k, k), in either direction, members in order.

    >>> letters(np.eye(3, k=2, dtype=bool))
    ['a', 'a b', 'b']
    """
    names: list[list[str]] = [[] for _ in claims]
    for number, inside in enumerate(groups(claims)):
        for member in inside:
            names[member].append(letter(number))
    return [" ".join(own) for own in names]


def letter(number: int) -> str:
    """The name of a group: a to z, A to Z, then a2, b2 and so on.

    >>> [letter(k) for k in (0, 25, 26, 51, 52, 104)]
    ['a', 'z', 'A', 'Z', 'a2', 'a3']
    """
    alphabet = ascii_lowercase + ascii_uppercase
    turn, place = divmod(number, len(alphabet))
    return alphabet[place] + (str(turn + 1) if turn else "")


def rank_intervals(claims: Booleans) -> tuple[Integers, Integers]:
    """(k,) best and (k,) worst rank that each member can surely have; 1 is the lowest.

    Args:
        claims: (k, k), whether the member of the row is surely below that of the column.

    >>> best, worst = rank_intervals(np.array([[False, True], [False, False]]))
    >>> best.tolist(), worst.tolist()
    ([1, 2], [1, 2])
    """
    return 1 + claims.sum(axis=0), len(claims) - claims.sum(axis=1)
