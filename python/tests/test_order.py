"""What is yielded is what the order yields, whatever becomes of the announcements."""

import pickle
import unittest
import warnings
from unittest import mock

import ml_overlay
from ml_overlay import _plan


class FakeChannel:
    """Takes announcements as a mount does, up to so many lines."""

    room = None

    def __init__(self):
        self.plans = {}
        self.withdrawn = []
        self.fails = None
        self.sent = 0

    def below(self, path):
        return path.encode()

    def send(self, header, lines):
        if self.fails is not None:
            raise self.fails
        self.sent += 1
        fields = header.decode().split()
        name = next(field[5:] for field in fields if field.startswith("name="))
        if fields[0] == "#ml-overlay-withdraw":
            self.plans.pop(name, None)
            self.withdrawn.append(name)
            return 0
        if "mode=replace" in fields:
            self.plans[name] = []
        taken = lines if self.room is None else lines[: max(0, self.room - len(self.plans[name]))]
        self.plans[name] += [line.decode().rstrip("\n") for line in taken]
        return len(taken)

    @property
    def only(self):
        (lines,) = self.plans.values()
        return lines


class StatefulOrder:
    def __init__(self, count):
        self.count = count
        self.at = 0

    def __iter__(self):
        while self.at < self.count:
            self.at += 1
            yield self.at - 1
        self.at = 0

    def state_dict(self):
        return {"at": self.at}

    def load_state_dict(self, state):
        self.at = state["at"]


def path_of(index):
    return "f%d" % index


class Order(unittest.TestCase):
    def setUp(self):
        self.channel = FakeChannel()
        patcher = mock.patch.object(_plan.Channel, "of", lambda path: self.channel)
        patcher.start()
        self.addCleanup(patcher.stop)
        _plan._warned.clear()

    def test_yields_the_same_and_announces_it_in_order(self):
        order = list(reversed(range(5000)))
        self.assertEqual(list(ml_overlay.announce(order, path_of)), order)
        self.assertEqual(self.channel.only, [path_of(index) for index in order])

    def test_announces_ahead_of_what_is_yielded_and_no_further_than_it_may(self):
        for ahead in (10, 1000, 100000):
            iterator = iter(ml_overlay.announce(range(20000), path_of, ahead=ahead))
            most = 0
            for at in range(100):
                self.assertEqual(next(iterator), at)
                (announced,) = [len(lines) for name, lines in self.channel.plans.items()]
                self.assertGreater(announced - at, min(ahead // 4, 32))
                most = max(most, announced - at)
            self.assertLessEqual(most, ahead)
            iterator.close()

    def test_the_first_item_waits_for_few(self):
        asked = []
        order = (asked.append(i) or i for i in range(100000))
        next(iter(ml_overlay.announce(order, path_of)))
        self.assertLessEqual(len(asked), 64)

    def test_the_first_batches_wait_for_few(self):
        batches = [list(range(i, i + 32)) for i in range(0, 100000, 32)]
        for order, taken in ((range(100000), 128), (batches, 4)):
            iterator = iter(ml_overlay.announce(order, path_of))
            for _ in range(taken):
                next(iterator)
            self.assertLessEqual(len(self.channel.only), 1024)
            iterator.close()

    def test_many_are_announced_at_a_time(self):
        for order in (range(20000), [[i, i + 1] for i in range(0, 20000, 2)]):
            self.channel.sent = 0
            self.assertEqual(list(ml_overlay.announce(order, path_of, ahead=2000)), list(order))
            self.assertLessEqual(self.channel.sent, 50)

    def test_batches_are_announced_item_by_item(self):
        batches = [[4, 2], [9], [1, 1, 3]]
        self.assertEqual(list(ml_overlay.announce(batches, path_of)), batches)
        self.assertEqual(self.channel.only, ["f4", "f2", "f9", "f1", "f1", "f3"])

    def test_items_may_be_paths_and_ranges(self):
        items = ["a", ("b", 10, 20), "c"]
        self.assertEqual(list(ml_overlay.announce(items)), items)
        self.assertEqual(self.channel.only, ["a", "b\t10\t20", "c"])

    def test_paths_may_be_those_of_an_image_folder(self):
        list(ml_overlay.announce([1, 0], [("x/a.jpg", 0), ("y/b.jpg", 1)]))
        self.assertEqual(self.channel.only, ["y/b.jpg", "x/a.jpg"])

    def test_odd_names_are_quoted(self):
        list(ml_overlay.announce(["a\tb", "c\nd", "e%f", "#g"]))
        self.assertEqual(self.channel.only, ["a%09b", "c%0Ad", "e%25f", "./#g"])

    def test_each_pass_replaces_the_one_before(self):
        announced = ml_overlay.announce([1, 2, 3], path_of)
        for _ in range(3):
            self.assertEqual(list(announced), [1, 2, 3])
            self.assertEqual(self.channel.only, ["f1", "f2", "f3"])

    def test_two_passes_at_once_have_plans_of_their_own(self):
        announced = ml_overlay.announce(range(10), path_of)
        one, other = iter(announced), iter(announced)
        self.assertEqual([(next(one), next(other)) for _ in range(10)], [(i, i) for i in range(10)])
        self.assertEqual(len(self.channel.plans), 2)

    def test_a_pass_that_ends_early_withdraws_the_rest(self):
        for index in ml_overlay.announce(range(100), path_of):
            if index == 10:
                break
        self.assertEqual(self.channel.plans, {})
        self.assertEqual(len(self.channel.withdrawn), 1)

    def test_everything_else_is_the_orders(self):
        class Sampler(list):
            epoch = 0

            def set_epoch(self, epoch):
                self.epoch = epoch

        announced = ml_overlay.announce(Sampler([3, 4]), path_of)
        announced.set_epoch(7)
        self.assertEqual((announced.epoch, len(announced)), (7, 2))
        self.assertFalse(hasattr(announced, "state_dict"))
        self.assertEqual(list(pickle.loads(pickle.dumps(ml_overlay.announce([3, 4])))), [3, 4])

    def test_the_orders_own_error_is_raised_where_it_is_due(self):
        def order():
            yield from range(5)
            raise KeyError("mine")

        seen = []
        with self.assertRaises(KeyError):
            for index in ml_overlay.announce(order(), path_of):
                seen.append(index)
        self.assertEqual(seen, [0, 1, 2, 3, 4])

    def test_errors_of_ours_are_warned_of_once_and_raised_never(self):
        self.channel.fails = OSError(107, "not connected")
        announced = ml_overlay.announce(range(3000), path_of)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(3):
                self.assertEqual(list(announced), list(range(3000)))
        self.assertEqual(len(caught), 1)
        self.channel.fails = None
        list(announced)
        self.assertEqual(len(self.channel.only), 3000)

    def test_warnings_as_errors_do_not_end_the_job_either(self):
        self.channel.fails = OSError(107, "not connected")
        with warnings.catch_warnings(), mock.patch("sys.stderr"):
            warnings.simplefilter("error")
            self.assertEqual(list(ml_overlay.announce(range(3), path_of)), [0, 1, 2])

    def test_indices_without_paths_do_not_end_the_job(self):
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            self.assertEqual(list(ml_overlay.announce(range(3), ["a"])), [0, 1, 2])

    def test_a_mount_without_room_gets_the_rest_later(self):
        self.channel.room = 500
        iterator = iter(ml_overlay.announce(range(5000), path_of))
        for _ in range(100):
            next(iterator)
        self.assertEqual(len(self.channel.only), 500)
        self.channel.room = None
        self.assertEqual(list(iterator), list(range(100, 5000)))
        self.assertEqual(self.channel.only, [path_of(i) for i in range(5000)])

    def test_state_is_that_of_what_was_yielded(self):
        for stop in (0, 1, 63, 64, 65, 3000, 4999):
            order = StatefulOrder(5000)
            iterator = iter(ml_overlay.announce(order, path_of))
            announced = iterator.gi_frame.f_locals["self"]
            seen = [next(iterator) for _ in range(stop)]
            state = announced.state_dict()
            again = ml_overlay.announce(StatefulOrder(5000), path_of)
            again.load_state_dict(state)
            resumed = iter(again)
            seen += [next(resumed) for _ in range(10)] if stop < 4990 else []
            twice = again.state_dict()
            last = ml_overlay.announce(StatefulOrder(5000), path_of)
            last.load_state_dict(twice)
            seen += list(last)
            self.assertEqual(seen, list(range(5000)), stop)

    def test_a_state_between_two_passes_begins_the_next(self):
        announced = ml_overlay.announce(StatefulOrder(5000), path_of)
        self.assertEqual(list(announced), list(range(5000)))
        again = ml_overlay.announce(StatefulOrder(5000), path_of)
        again.load_state_dict(announced.state_dict())
        self.assertEqual(list(again), list(range(5000)))

    def test_a_state_of_the_order_alone_forgets_what_was_to_be_left_out(self):
        iterator = iter(ml_overlay.announce(StatefulOrder(100), path_of))
        announced = iterator.gi_frame.f_locals["self"]
        for _ in range(7):
            next(iterator)
        again = ml_overlay.announce(StatefulOrder(100), path_of)
        again.load_state_dict(announced.state_dict())
        again.load_state_dict({"at": 90})
        self.assertEqual(list(again), list(range(90, 100)))

    def test_a_state_of_the_order_alone_is_taken(self):
        announced = ml_overlay.announce(StatefulOrder(10), path_of)
        announced.load_state_dict({"at": 6})
        self.assertEqual(list(announced), [6, 7, 8, 9])


class Elsewhere(unittest.TestCase):
    def test_a_path_on_no_mount_of_ours_is_warned_of_once(self):
        _plan._warned.clear()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(3):
                self.assertEqual(list(ml_overlay.announce(["/usr/lib", "/etc/hostname"])), ["/usr/lib", "/etc/hostname"])
        self.assertEqual(len(caught), 1)
        self.assertIn("no ml-overlay mount", str(caught[0].message))


if __name__ == "__main__":
    unittest.main()
