"""Reading of data sets, the same for every task: folders, names of splits, findings, the gate before training."""
