"""Classification: recipe, layouts, network, trainer."""
