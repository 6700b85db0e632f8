"""The same flows in ppgen, zuko and flowjax, trained in the same way.

Every file has `start(task, train) -> (advance, log_prob, parameters)`. `advance(index)` takes one Adam step on each batch
`train[index[step]]`; `log_prob(rows)` gives the log density of each row, in nats; and
`parameters` is how many numbers are learned.
"""
