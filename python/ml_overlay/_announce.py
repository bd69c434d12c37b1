"""Samplers, batch samplers and lists of shards that announce what they will yield."""

from collections import deque

from ._plan import Plan, warn_once

AHEAD = 32768
# Items asked for at once: few at first, so that the first batch comes no later, and then many: each time is a message.
_STEP_FIRST = 64
_STEP_MOST = 1024
# Yielded between two messages, at least: a loader takes its first batches in one go, while its workers wait for them.
_STEP_EACH = 32
# What the mount had no room for is tried again after so many items.
_SEND_AGAIN = 64


def announce(order, paths=None, *, name=None, ahead=AHEAD):
    """Yields what `order` yields, and announces it to the ml-overlay mount before.

    order  a sampler, a batch sampler (whose items are lists of indices), or any iterable
    paths  paths[index], or paths(index): the path read for an index, or (path, offset, length). Without it the items are
           themselves paths
    name   what the plan is called in `ml-overlay plan MOUNTPOINT --list`
    ahead  how many indices the order is asked for before they are due
    """
    return Announced(order, paths, name=name, ahead=ahead)


def _is_batch(item):
    return isinstance(item, list) or (isinstance(item, tuple) and all(isinstance(index, int) for index in item))


class Announced:
    """The order itself, as far as whoever uses it can tell."""

    def __init__(self, order, paths=None, *, name=None, ahead=AHEAD):
        self._order = order
        self._path_of = paths if callable(paths) else None if paths is None else paths.__getitem__
        self._name = name
        self._ahead = max(1, ahead)
        self._plans = []
        self._marks = deque()
        self._yielded = 0
        self._skip = 0

    def __len__(self):
        return len(self._order)

    def __getattr__(self, name):
        # Only what is not found here: set_epoch, batch_size, ...
        order = self.__dict__.get("_order")
        if order is None or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(name)
        value = getattr(order, name)
        if name == "state_dict":
            return self._state_dict
        if name == "load_state_dict":
            return self._load_state_dict
        return value

    def __getstate__(self):
        return {**self.__dict__, "_plans": [], "_marks": deque()}

    def __setstate__(self, state):
        self.__dict__.update(state)

    def __iter__(self):
        plan = self._plans.pop() if self._plans else Plan(self._name)
        plan.restart()
        try:
            yield from self._announced(iter(self._order), plan)
        finally:
            self._plans.append(plan)

    def _announced(self, source, plan):
        stateful = hasattr(self._order, "state_dict")
        marks, skip = deque(), self._skip
        self._marks, self._yielded, self._skip = marks, 0, 0
        ready, waiting = deque(), 0
        step_most = min(_STEP_MOST, (self._ahead + 1) // 2)
        step = min(_STEP_FIRST, step_most)
        step_each = min(_STEP_EACH, step_most // 2)
        error, ended = None, False
        due = 0  # asked again when no more than so many wait
        asked = -skip
        try:
            while True:
                if not ended and waiting <= due and self._ahead - waiting >= step:
                    if stateful:
                        marks.append((asked, self._order.state_dict()))
                    fresh, count = [], 0
                    while count < step:
                        try:
                            item = next(source)
                        except StopIteration:
                            ended = True
                            break
                        except Exception as raised:  # the order's own: it is raised where it is due
                            error, ended = raised, True
                            break
                        asked += 1
                        if asked > 0:
                            fresh.append(item)
                            count += self._size(item)
                    self._announce(plan, fresh)
                    ready.extend(fresh)
                    waiting += count
                    step = min(step_most, step * 2)
                    due = max(0, waiting - step_each)
                if not ready:
                    if ended:
                        break
                    continue
                item = ready.popleft()
                waiting -= self._size(item)
                self._yielded += 1
                if self._yielded % _SEND_AGAIN == 0:
                    plan.add(())
                while len(marks) > 1 and marks[1][0] <= self._yielded:
                    marks.popleft()
                yield item
        except GeneratorExit:
            plan.withdraw()
            raise
        if error is not None:
            raise error
        if self._marks is marks:
            self._marks = deque()  # the pass is over: the order's own state is that of what was yielded

    def _size(self, item):
        return len(item) if self._path_of is not None and _is_batch(item) else 1

    def _announce(self, plan, items):
        try:
            plan.add(list(self._paths_of(items)))
        except Exception as error:  # who reads an index that has no path will say so
            warn_once("paths", "some indices have no path, and are not announced: %r" % (error,))

    def _paths_of(self, items):
        if self._path_of is None:
            yield from items
            return
        for item in items:
            if _is_batch(item):
                for index in item:
                    yield self._path_of(index)
            else:
                yield self._path_of(item)

    # The state is that of what was yielded: the order itself has been asked for more.

    def _state_dict(self):
        if not self._marks:
            state = self._order.state_dict()
            return {"ml_overlay": 1, "order": state, "skip": self._skip} if self._skip else state
        at, state = self._marks[0]
        return {"ml_overlay": 1, "order": state, "skip": self._yielded - at}

    def _load_state_dict(self, state):
        self._marks = deque()
        if isinstance(state, dict) and "ml_overlay" in state:
            self._order.load_state_dict(state["order"])
            self._skip = state["skip"]
        else:
            self._skip = 0
            self._order.load_state_dict(state)
