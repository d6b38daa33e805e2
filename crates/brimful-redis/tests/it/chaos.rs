//! Failures of the server and of the network.
