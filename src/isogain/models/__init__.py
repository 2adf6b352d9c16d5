"""Networks: a signal carried through layers or time, and the matrices under study on its way."""
