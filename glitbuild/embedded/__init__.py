"""The models that ship inside the package, trained on scenes by ``tools.demo_models``; not for photographs."""
