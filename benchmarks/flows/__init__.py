"""The same densities in ppgen, zuko, flowjax and torch, trained in the same way.

Every file `in_....py` has `start(task, train) -> Learner`; `task.py` says what those are, `compare.py` trains them side by
side.
"""
