"""What a rollout is and how it goes on: pure, without I/O, clock or chance.

`advance` is the one entrance. `model` and `revision` are the stored state, `observation` what a pass sees, `transition`
what comes of it. `answers` folds what the scheduler says, `capacity` asks and releases. Each phase has its rule in the
module of its half of life: `forward`, `backward` (abort) and `removal`; `shortage` is what sets a rollout back, and
`keeping` and `scaling` what stable parts with and asks for.
"""
