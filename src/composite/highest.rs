//! [`HighestQuotas`]: the highest quotas that limits will ever have, by the names of the limits.

use std::sync::Arc;

use super::limits::Named;
use crate::error::{BuildError, BuildErrorKind, LimitName};
use crate::quota::{Quota, Quotas};

/// The highest quotas that limits will ever have. A limit that is not named keeps its first quota as the highest.
#[derive(Clone, Debug)]
pub(super) struct HighestQuotas(Vec<(Box<str>, Quota)>);

impl HighestQuotas {
    pub(super) const NONE: HighestQuotas = HighestQuotas(Vec::new());

    /// Sets the highest quota of a limit. The last one counts.
    pub(super) fn with(mut self, limit: &str, highest: Quota) -> Self {
        self.0.retain(|(name, _)| **name != *limit);
        self.0.push((limit.into(), highest));
        self
    }

    /// Makes the limit of each quota, from the quota and the highest one.
    pub(super) fn limits<T>(
        &self,
        quotas: &Quotas,
        make: impl Fn(Quota, Quota) -> Result<T, BuildError>,
    ) -> Result<Arc<[Named<T>]>, BuildError> {
        if let Some((limit, _)) = self.0.iter().find(|(limit, _)| quotas.iter().all(|(name, _)| *name != **limit)) {
            return Err(BuildError(BuildErrorKind::NoSuchLimit(LimitName::new(limit))));
        }
        let limit = |(name, quota): (&str, Quota)| {
            let highest = self.0.iter().find(|(limit, _)| **limit == *name).map_or(quota, |&(_, highest)| highest);
            let name = LimitName::new(name);
            let limit = make(quota, highest).map_err(|error| error.of_limit(name))?;
            Ok(Named { name, limit })
        };
        quotas.iter().map(limit).collect()
    }
}
