//! [`TermsSource`]: where a call finds its terms.

use crate::algorithm::Terms;
use crate::word::Layout;

#[cfg(feature = "std")]
use super::quota_cell::QuotaCell;

/// The source of a call's terms, which are asked for after each reading of the clock.
#[derive(Clone, Copy)]
pub(crate) struct TermsSource<'a> {
    layout: &'a Layout,
    /// `None` if the quota never changes as long as the bucket is where it is.
    #[cfg(feature = "std")]
    quota: Option<&'a QuotaCell>,
}

impl<'a> TermsSource<'a> {
    /// The terms of a quota that does not change.
    #[inline(always)]
    pub(crate) const fn fixed(layout: &'a Layout) -> Self {
        TermsSource {
            layout,
            #[cfg(feature = "std")]
            quota: None,
        }
    }

    /// The terms of a quota that may change.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn of(quota: &'a QuotaCell) -> Self {
        TermsSource { layout: quota.layout(), quota: Some(quota) }
    }

    /// Returns the terms for a reading that was taken before.
    #[inline]
    pub(crate) fn terms(self) -> Terms<'a> {
        #[cfg(feature = "std")]
        if let Some(quota) = self.quota {
            return quota.terms();
        }
        Terms::of(self.layout)
    }
}
