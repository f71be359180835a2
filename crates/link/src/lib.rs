//! One peer link: what joins two seats and how well.
