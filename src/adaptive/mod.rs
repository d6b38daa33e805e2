//! Limits that set their own quota.

mod demand;
mod demand_builder;
mod demand_policy;

pub use demand::DemandLimit;
pub use demand_builder::DemandLimitBuilder;
