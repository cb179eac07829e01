"""Six steps before a long training (after Karpathy's recipe and the CS231n notes), each a module that says in words."""
