//! A server on loopback for tests.
