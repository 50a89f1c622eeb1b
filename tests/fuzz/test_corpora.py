"""The short run of the fuzzers (P23): each corpus as it stands, and some thousand mutations of it, always the same."""

import resource
from random import Random

import pytest

from tests.fuzz.run import corpus_of
from tests.fuzz.targets import TARGETS, mutate

MUTATIONS = 3_000
MOST_GROWTH_MIB = 64


@pytest.mark.parametrize(
    "path", [pytest.param(path, id=f"{name}-{path.name}") for name in TARGETS for path in corpus_of(name)]
)
def test_p23_what_is_in_the_corpora_does_no_harm(path):
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_p23_mutations_of_the_corpora_do_no_harm_and_take_no_memory(name):
    seeds = [path.read_bytes() for path in corpus_of(name)]
    assert len(seeds) >= 5
    chance = Random(23)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(MUTATIONS):
        octets = mutate(name, chance.choice(seeds), chance)
        try:
            TARGETS[name](octets)
        except Exception as error:
            raise AssertionError(f"{name}: {octets!r}") from error
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 <= MOST_GROWTH_MIB
