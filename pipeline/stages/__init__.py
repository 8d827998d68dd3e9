"""What each step does with a part, or with all of them; when and whether it runs is the runner's business.

A per-part function is called as `function(job, tick, care)` in a worker and writes one file; a whole-run function is
called as `function(view, tick)` in the parent. Heavy libraries are imported where they are used, so that `stats` is quick
and cleaning never needs torch.
"""
