"""What a rollout is and how it goes on: pure, without I/O, clock or chance.

`advance` is the one entrance. `model` is the stored state, `observation` what a pass sees, `transition` what comes of
it; each phase has its rule in the module of its half of life: `forward`, `backward` (abort) and `removal`.
"""
