//! [`ModelStats`]: the numbers of a model, and [`ModelTable`]: those of all models.

use std::fmt;
use std::time::Duration;

use super::dimension::Dimension;

/// The use of one dimension of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DimensionStats {
    /// The dimension.
    pub dimension: Dimension,
    /// The requests or tokens that were charged and are not yet refilled, rounded up; the requests in flight for
    /// [`MaxParallelRequests`](Dimension::MaxParallelRequests). It is above the limit if the dimension is in debt.
    pub used: u64,
    /// The most that can be used at once: the limit of the quota, or the burst that a
    /// [strict](crate::model::ModelQuota::strict) one makes of it.
    pub limit: u64,
}

/// As in `45/500`.
impl fmt::Display for DimensionStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.used, self.limit)
    }
}

/// The numbers of a model, as they were read.
///
/// [`Display`](fmt::Display) prints them as one line.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ModelStats {
    /// The name of the model.
    pub model: String,
    /// The dimensions that have a limit, in order.
    pub dimensions: Vec<DimensionStats>,
    /// The callers that wait.
    pub waiting: usize,
    /// The requests in flight.
    pub in_flight: usize,
    /// The waits that were granted later than at the first look.
    pub waited: u64,
    /// The mean of those waits: zero if there are none.
    pub mean_wait: Duration,
    /// The refusals by the server that were observed, by status 429.
    pub rate_limited: u64,
    /// The scales of estimates of input and of output, if they are [learned](crate::model::Learning).
    pub scales: Option<(f64, f64)>,
}

impl ModelStats {
    /// Returns the numbers of a dimension; `None` if it has no limit.
    #[must_use]
    pub fn dimension(&self, dimension: Dimension) -> Option<DimensionStats> {
        self.dimensions.iter().copied().find(|of| of.dimension == dimension)
    }
}

/// As in `gpt-4: rpm 45/500, tpm 12000/40000, 0 waiting, 3 in flight, mean wait 0.0ns, 0 answers 429`.
impl fmt::Display for ModelStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.model)?;
        for of in &self.dimensions {
            write!(f, "{} {of}, ", of.dimension)?;
        }
        let ModelStats { waiting, in_flight, mean_wait, rate_limited, .. } = self;
        write!(f, "{waiting} waiting, {in_flight} in flight, mean wait {mean_wait:.1?}, {rate_limited} answers 429")?;
        match self.scales {
            Some((input, output)) => write!(f, ", estimates scaled by {input:.2} and {output:.2}"),
            None => Ok(()),
        }
    }
}

/// The numbers of all models, in the order of their names.
///
/// [`Display`](fmt::Display) prints them as an aligned table.
///
/// # Examples
///
/// ```
/// use brimful::MockClock;
/// use brimful::model::{ModelLimiter, ModelQuota};
///
/// let limiter = ModelLimiter::builder()
///     .model("gpt-4", ModelQuota::new().rpm(500).max_parallel_requests(10))
///     .model("o3", ModelQuota::new().rpm(60).tpm(40_000))
///     .clock(MockClock::new())
///     .build()?;
/// let permit = limiter.try_acquire("o3", 1_200)?;
/// assert_eq!(limiter.stats().to_string(), "\
/// model    rpm         tpm  max_parallel_requests  waiting  in flight  mean wait  429
/// gpt-4  0/500           -                   0/10        0          0      0.0ns    0
/// o3      1/60  1200/40000                      -        0          1      0.0ns    0");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ModelTable {
    models: Vec<ModelStats>,
}

impl ModelTable {
    pub(super) fn new(models: Vec<ModelStats>) -> Self {
        ModelTable { models }
    }

    /// Returns the numbers of each model, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &ModelStats> {
        self.models.iter()
    }

    /// Returns the numbers of the model with this name.
    #[must_use]
    pub fn get(&self, model: &str) -> Option<&ModelStats> {
        self.iter().find(|stats| stats.model == model)
    }
}

impl fmt::Display for ModelTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has = |dimension: &Dimension| self.iter().any(|stats| stats.dimension(*dimension).is_some());
        let dimensions: Vec<_> = Dimension::ALL.into_iter().filter(has).collect();
        let mut rows = vec![vec!["model".to_owned()]];
        rows[0].extend(dimensions.iter().map(Dimension::to_string));
        rows[0].extend(["waiting", "in flight", "mean wait", "429"].map(str::to_owned));
        for stats in self.iter() {
            let mut row = vec![stats.model.clone()];
            let of = |&dimension| stats.dimension(dimension).map_or_else(|| "-".to_owned(), |of| of.to_string());
            row.extend(dimensions.iter().map(of));
            let ModelStats { waiting, in_flight, mean_wait, rate_limited, .. } = stats;
            row.extend([waiting.to_string(), in_flight.to_string()]);
            row.extend([format!("{mean_wait:.1?}"), rate_limited.to_string()]);
            rows.push(row);
        }
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        for (nth, row) in rows.iter().enumerate() {
            let first = width(0);
            write!(f, "{}{:<first$}", if nth == 0 { "" } else { "\n" }, row[0])?;
            for (column, text) in row.iter().enumerate().skip(1) {
                let width = width(column);
                write!(f, "  {text:>width$}")?;
            }
        }
        Ok(())
    }
}
