//! The verbs of a limiter, on a real server.
