"""The same densities in ppgen and in other libraries, to time `log_prob` and `sample`.

Every file has `MODELS`, those that its library offers, and `start(task) -> (log_prob, sample, parameters)`. `log_prob()` is the
log density of `task.rows`, [ROWS]; `sample()` draws as many rows anew; both return when the work is done, as arrays of
the library. `parameters` is how many numbers are learned.
"""
