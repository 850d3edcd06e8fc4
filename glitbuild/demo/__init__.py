"""Every stage at once, on scenes that it draws or on two photographs."""
