//! A quota from its text, in a constant and at run time.

use core::str::FromStr;

use super::error::{ParseQuotaError, QuotaTextError};
use super::parse;
use crate::quota::value::Quota;

impl Quota {
    /// Parses a text such as `100/s burst 200`, in a constant at compile time. It parses the same
    /// texts as [`parse`](str::parse), with an error that borrows nothing and owns nothing. For a
    /// literal, [`quota!`](crate::quota!) is shorter, and its compile errors have a caret.
    ///
    /// A text is a rate, followed by the clauses that differ from the defaults, in any order:
    ///
    /// | part | examples | meaning |
    /// |---|---|---|
    /// | rate | `100/s`, `10 per 5 minutes`, `0.5/s`, `1MiB/s`, `5k req/min` | an amount, `/` or `per`, a period |
    /// | | `60 rpm`, `10rps` | a number, and requests (`r`), queries (`q`) or tokens (`t`) per `s`, `m`, `h` or `d` |
    /// | window | `at most 100 in 1min` | in place of a rate: as [`Quota::at_most`], with the `burst` as [`Quota::at_most_with_burst`] |
    /// | `burst` | `burst 200`, `burst 2.5` | the most that a bucket holds; without it, the rate's amount, rounded up |
    /// | `initial` | `initial 0` | what a bucket starts with; without it, the burst |
    /// | `debt` | `debt 50` | how far below zero a commit may go; without it, the burst |
    ///
    /// An amount is a number such as `100`, `1_000` or `0.5`, then perhaps `k`, `M`, `G`, `T`
    /// (powers of 1000) or `Ki`, `Mi`, `Gi`, `Ti` (powers of 1024), `B`, and a word for what is
    /// counted, which changes nothing: `requests`, `req` or `r`, `tokens`, `calls`, `bytes`,
    /// `queries`, `messages`, `events` and a few more. Other words are refused, because `10 million/s`
    /// must not become ten. A period is a unit, `ns`, `us`, `ms`, `s`, `min` or `m`, `h`, `day`,
    /// `week` or its longer name, with or without a number before it. Months and years are refused,
    /// because they differ in length.
    ///
    /// A quota always has a limit, so `unlimited` is refused. A limiter without a limit is
    /// [`RateLimiter::unlimited`](crate::RateLimiter::unlimited). [`Quotas`](crate::Quotas) parses
    /// several quotas, separated by semicolons.
    ///
    /// Rates are exact: `0.1/s` is a token every ten seconds.
    ///
    /// # Errors
    ///
    /// Returns an error for a text of another form, for a rate or a burst that [`Quota::try_new`]
    /// or [`Quota::try_burst`] refuses, and for numbers that cannot be kept exactly.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::Quota;
    ///
    /// const API: Quota = match Quota::const_parse("10 per 5 minutes burst 20") {
    ///     Ok(quota) => quota,
    ///     Err(error) => panic!("{}", error.message()),
    /// };
    /// assert_eq!(API, Quota::per_minute(2).burst(20));
    ///
    /// let error = Quota::const_parse("100/month").unwrap_err();
    /// assert_eq!(error.span(), 4..9);
    /// assert_eq!(error.message(), "a month has no fixed length: write \"30 days\"");
    /// ```
    pub const fn const_parse(text: &str) -> Result<Self, QuotaTextError> {
        parse::quota(text)
    }
}

/// Parses the same texts as [`Quota::const_parse`], with an error that shows the text.
impl FromStr for Quota {
    type Err = ParseQuotaError;

    fn from_str(text: &str) -> Result<Self, ParseQuotaError> {
        Quota::const_parse(text).map_err(|error| ParseQuotaError::new(text, error))
    }
}
