"""What each step does with a part, or with all of them; when and whether it runs is the runner's business.

A module declares its steps as values (pipeline.core.step). A step's function is called in a worker as
`run(PartFiles, options, tick, care)` and writes one file, or, for the whole run, in the parent as
`run(RunFiles, options, tick)`. Heavy libraries are imported where they are used, so that `stats` is quick and cleaning never
needs torch.
"""
