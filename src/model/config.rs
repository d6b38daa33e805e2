//! [`ModelConfig`]: the quotas of models by name, and that of the others.

use std::collections::BTreeMap;

use super::error::ModelConfigError;
use super::quota::{DEFAULT, ModelQuota};

/// The quotas of models by name, and the default for models that are not listed.
///
/// With the feature `serde`, it is read from a map such as
/// `{"gpt-4": {"rpm": 500, "tpm": 40000, "max_parallel_requests": 10}, "default": {"rpm": 60}}`, and written as one.
/// The fields are those of a [`ModelQuota`]. A field that does not exist, a number that is no limit, `null`, and a model
/// without any limit are errors that name the model and the field. A text or a list in the place of a number is an error
/// of the format's own form, in which the path is the last part: `invalid type: …, expected a whole number above zero in
/// gpt-4.rpm`. A quota without limits is made by code alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelConfig {
    /// The quotas of models, by name.
    pub models: BTreeMap<String, ModelQuota>,
    /// The quota of each model that is not listed; `None` if calls to such models are refused.
    pub default: Option<ModelQuota>,
}

impl ModelConfig {
    /// Returns a configuration without models.
    #[must_use]
    pub const fn new() -> Self {
        ModelConfig { models: BTreeMap::new(), default: None }
    }

    /// Returns an error if a number is no limit, or if a model has the name of the default.
    pub(super) fn check(&self) -> Result<(), ModelConfigError> {
        if self.models.contains_key(DEFAULT) {
            return Err(ModelConfigError::reserved(DEFAULT));
        }
        let listed = self.models.iter().map(|(name, quota)| (name.as_str(), quota));
        for (name, quota) in listed.chain(self.default.iter().map(|quota| (DEFAULT, quota))) {
            check(name, quota)?;
        }
        Ok(())
    }
}

/// Returns an error if a number of a model's quota is no limit.
pub(super) fn check(name: &str, quota: &ModelQuota) -> Result<(), ModelConfigError> {
    quota.buckets().map_err(|(dimension, fault)| ModelConfigError::field(name, dimension, fault))?;
    Ok(())
}
