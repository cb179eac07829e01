"""What each framework's exports expect and mean: families (preprocessing) and heads (outputs)."""
