"""Vector fields dy/dt = f(t, y, context): linen modules that know no solver and no loss."""
