"""What a process asks of the others."""

import torch

from scgrpo.world import OneProcess, UnevenVectors, gather_padded
from tests.processes import in_processes


def test_vectors_of_unequal_length_come_together_and_apart_again():
    lengths = (2, 0, 3)

    def run(world):
        own = torch.arange(lengths[world.process_index]) + 10.0 * world.process_index
        vectors = UnevenVectors(world, len(own))
        everything = vectors.gather(own)
        return everything.tolist(), vectors.mine(everything).tolist()

    found = in_processes(3, run)
    assert [everything for everything, _ in found] == [[0.0, 1.0, 20.0, 21.0, 22.0]] * 3
    assert [mine for _, mine in found] == [[0.0, 1.0], [], [20.0, 21.0, 22.0]]


def test_matrices_are_padded_to_the_widest_on_either_side():
    def run(world):
        values = torch.ones(1, 1 + world.process_index, dtype=torch.bool)
        return gather_padded(world, values), gather_padded(world, values, left=True)

    for right, left in in_processes(2, run):
        assert right.dtype == torch.bool
        assert right.tolist() == [[True, False], [True, True]]
        assert left.tolist() == [[False, True], [True, True]]


def test_one_process_answers_itself():
    world, values = OneProcess(), torch.tensor([3.0, 4.0])
    assert world.gather(values) is values and world.sum(values) is values
    assert world.largest(7) == 7 and world.gather_objects([1, 2]) == [1, 2]
    vectors = UnevenVectors(world, 2)
    assert vectors.gather(values) is values and vectors.mine(values).tolist() == [3.0, 4.0]
