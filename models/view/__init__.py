"""Contact sheets and figures of data sets."""
