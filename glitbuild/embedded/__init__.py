"""The models that ship inside the package, trained on scenes by ``glitbuild.pretrain``; not for photographs."""
