//! Rooms on several nodes, when nodes and Redis fail: nothing is lost that is not told (C1, C2, R1, R6, R7, R9).
