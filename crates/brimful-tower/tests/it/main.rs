//! The crate from outside.

mod addresses;
mod back_pressure;
mod client;
mod fuzz;
mod headers;
mod hints;
mod keys;
mod service;
mod service_checks;
mod service_classes;
mod service_control;
mod service_grpc;
mod service_permits;
mod service_readiness;
mod service_settle;
mod support;
