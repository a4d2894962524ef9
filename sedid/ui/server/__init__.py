"""Between the network and the page: who may do what, how much, and on which device."""
