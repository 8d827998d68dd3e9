"""What each step does with a part, or with all parts. The runner decides whether and when a step runs.

A module declares its steps as values (pipeline.core.step). A step's function is called in a worker as
`run(PartFiles, options, progress, retry)` and writes one file; that of a whole step is called in the parent process as
`run(RunFiles, options, progress)`. Heavy libraries are imported where they are used, so that `stats` is quick and cleaning
never needs torch.
"""
