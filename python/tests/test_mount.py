"""Through a real mount: ML_OVERLAY_TEST_MOUNT names one with files train/0.bin to train/(N-1).bin, of N bytes each."""

import json
import os
import tempfile
import time
import unittest
import warnings

import ml_overlay
from ml_overlay import _plan

MOUNT = os.environ.get("ML_OVERLAY_TEST_MOUNT", "")
try:
    import torch
    from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, IterableDataset, RandomSampler
except ImportError:
    torch = None


def plans():
    with open(MOUNT + "/.mlo/plan") as file:
        return {plan["name"]: plan for plan in json.load(file)["plans"]}


def reads_are_seen():
    """Where the source never changes, the kernel keeps pages for good, and tells of no second read."""
    with open(MOUNT + "/.mlo/config") as file:
        return json.load(file)["options"].get("immutable", {}).get("value", "off") == "off"


class Files:
    """A map-style data set."""

    def __init__(self):
        names = sorted(os.listdir(MOUNT + "/train"))
        self.paths = [MOUNT + "/train/" + name for name in names]

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        with open(self.paths[index], "rb") as file:
            return len(file.read())


if torch is not None:

    class Shards(IterableDataset):
        def __iter__(self):
            info = torch.utils.data.get_worker_info()
            for path in ml_overlay.announce(Files().paths[info.id :: info.num_workers], name="shards"):
                with open(path, "rb") as file:
                    yield len(file.read())


@unittest.skipUnless(MOUNT, "ML_OVERLAY_TEST_MOUNT names no mount")
class Mounted(unittest.TestCase):
    def setUp(self):
        _plan._warned.clear()
        warnings.simplefilter("error")
        self.addCleanup(warnings.resetwarnings)
        self.before = set(plans())

    def mine(self):
        return [plan for name, plan in sorted(plans().items()) if name not in self.before]

    def check(self, count, number=1):
        """All of it was announced, and seen to be read."""
        read = count if reads_are_seen() else 0
        for _ in range(100):
            mine = self.mine()
            if sum(plan["used"] + plan["late"] for plan in mine) >= read:
                break
            time.sleep(0.05)
        self.assertEqual(len(mine), number, mine)
        self.assertEqual(sum(plan["items"] for plan in mine), count)
        self.assertGreaterEqual(sum(plan["used"] + plan["late"] for plan in mine), read, mine)
        self.assertEqual([plan["missing"] + plan["malformed"] + plan["passed"] for plan in mine], [0] * number)

    def test_an_order_without_torch(self):
        files = Files()
        for index in ml_overlay.announce(range(len(files)), files.paths, name="plain"):
            files[index]
        self.check(len(files))
        self.assertTrue(self.mine()[0]["name"].startswith("plain-"))

    def test_paths_by_links_and_relative_ones(self):
        with tempfile.TemporaryDirectory() as directory:
            os.symlink(MOUNT + "/train", directory + "/data")
            here = os.getcwd()
            os.chdir(directory)
            try:
                for path in ml_overlay.announce(["data/0.bin", "./data/1.bin", directory + "/data/2.bin"]):
                    with open(path, "rb") as file:
                        file.read()
            finally:
                os.chdir(here)
        self.check(3)

    def test_ranges_of_a_file(self):
        path = MOUNT + "/large.bin"
        for name, offset, length in ml_overlay.announce([(path, at << 20, 1 << 20) for at in range(8)]):
            with open(name, "rb") as file:
                file.seek(offset)
                file.read(length)
        (plan,) = self.mine()
        self.assertEqual(plan["items"], 8)
        if reads_are_seen():
            self.assertGreater(plan["used"] + plan["late"], 0, plan)

    def test_a_directory_that_is_no_mount(self):
        with tempfile.NamedTemporaryFile() as file, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.assertEqual(list(ml_overlay.announce([file.name])), [file.name])
        self.assertEqual(len(caught), 1)

    @unittest.skipIf(torch is None, "no torch")
    def test_shuffled_with_persistent_workers_over_several_epochs(self):
        files = Files()
        sampler = ml_overlay.announce(RandomSampler(files), files.paths)
        loader = DataLoader(files, sampler=sampler, batch_size=8, num_workers=2, persistent_workers=True)
        for _ in range(3):
            self.assertEqual(sum(len(batch) for batch in loader), len(files))
            self.check(len(files))

    @unittest.skipIf(torch is None, "no torch")
    def test_the_order_is_the_same_as_without(self):
        orders = []
        for wrap in (lambda order: order, lambda order: ml_overlay.announce(order, lambda index: MOUNT + "/train/0.bin")):
            torch.manual_seed(7)
            sampler = RandomSampler(range(1000))
            orders.append([list(wrap(sampler)) for _ in range(2)] + [torch.rand(1).item()])
        self.assertEqual(*orders)

    @unittest.skipIf(torch is None, "no torch")
    def test_a_batch_sampler(self):
        files = Files()
        batches = ml_overlay.announce(BatchSampler(RandomSampler(files), 8, drop_last=True), files.paths)
        loader = DataLoader(files, batch_sampler=batches, num_workers=2)
        self.assertEqual(len(loader), len(files) // 8)
        count = sum(len(batch) for batch in loader)
        self.check(count)

    @unittest.skipIf(torch is None, "no torch")
    def test_two_ranks_each_announce_their_share(self):
        files = Files()
        for rank in range(2):
            sampler = ml_overlay.announce(DistributedSampler(files, num_replicas=2, rank=rank), files.paths)
            sampler.set_epoch(3)
            loader = DataLoader(files, sampler=sampler, batch_size=4)
            self.assertEqual(sum(len(batch) for batch in loader), len(files) // 2)
        self.check(len(files), number=2)

    @unittest.skipIf(torch is None, "no torch")
    def test_an_iterable_data_set_announces_in_its_workers(self):
        loader = DataLoader(Shards(), batch_size=4, num_workers=2)
        count = sum(len(batch) for batch in loader)
        self.assertEqual(count, len(Files()))
        self.check(count, number=2)

    @unittest.skipIf(torch is None, "no torch")
    def test_an_epoch_that_is_left_early_and_one_that_is_resumed(self):
        files = Files()
        announced = ml_overlay.announce(list(range(len(files))), files.paths)
        for seen, _ in enumerate(DataLoader(files, sampler=announced, batch_size=4, num_workers=1)):
            if seen == 2:
                break
        resumed = ml_overlay.announce(list(range(20, len(files))), files.paths)
        for _ in DataLoader(files, sampler=resumed, batch_size=4):
            pass
        left = [plan for plan in self.mine() if plan["items"] == len(files) - 20]
        self.assertEqual(len(left), 1, self.mine())
        if reads_are_seen():
            self.assertEqual(left[0]["used"] + left[0]["late"], len(files) - 20)


if __name__ == "__main__":
    unittest.main()
