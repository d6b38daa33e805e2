//! The options of `simulate`, and its help.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use brimful::Quotas;

use super::input::Format;
use super::llm;
#[cfg(feature = "redis")]
use super::shared;
use super::table::Columns;
use super::time::Unit;
use crate::bound::parse_quotas;

/// The rules by which logs are read.
const RULES: &str = "\
Access logs:
  Prefixes before the client are skipped: those of syslog (RFC 3164, RFC 5424, journalctl),
  docker compose, container runtimes and kubectl, and the name of a virtual host. A line with any
  other text there is malformed.
  In a list of forwarded addresses the client is the last address that is not private, or the
  first address if all are private: a client can forge the beginning of the list.
  The port is not part of the client. An IPv4 address mapped into IPv6, such as
  ::ffff:203.0.113.5, is the same client as the IPv4 address.

Tables:
  Blanks around a field are skipped. Blanks inside of quotes are part of the field.

Times:
  Lines form one group if no gap between them is longer than 180 days. A group of at most 100 lines
  is out of line if another group has at least twice as many: its lines are counted as malformed
  and are not replayed.";

/// The options of `simulate`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = RULES)]
pub(crate) struct Args {
    /// The quota, such as "1/min burst 5" or "at most 100 in 1min"; or several that hold at once, such as
    /// "burst: 10/s; daily: 5000/day", which admit a request only together
    #[arg(long, value_name = "QUOTA", required_unless_present_any = ["compare", "llm"], conflicts_with = "compare")]
    quota: Option<String>,
    /// Replay the logs under each of these quotas, and print the results side by side. Give the logs before
    /// this option, or after a further option or --
    #[arg(long, value_name = "QUOTA", num_args = 1.., conflicts_with_all = ["top", "timeline"])]
    compare: Vec<String>,
    /// The field whose values have a bucket each: ip, user, method, path or status of an access log,
    /// or a column of a table; several are joined by +
    #[arg(long, value_name = "FIELD[+FIELD...]", default_value = "none")]
    pub(super) key: String,
    /// The format of the logs
    #[arg(long, value_enum, default_value_t = Format::Auto)]
    pub(super) format: Format,
    /// The column with the time: dates such as 2023-11-16T18:17:03.5Z, or numbers since 1970;
    /// without it, the column that is called timestamp, time, ts or alike
    #[arg(long, alias = "time-column", value_name = "COLUMN")]
    time: Option<String>,
    /// The unit of numbers of time; without it, the size of most of the log's first numbers decides
    #[arg(long, value_enum, value_name = "UNIT")]
    pub(super) time_unit: Option<Unit>,
    /// The columns whose sum is the cost in tokens; without it, each request costs one
    #[arg(long, value_name = "COLUMN[+COLUMN...]")]
    cost: Option<String>,
    /// The number of lines that are held to put them in order. A line that is earlier than these
    /// reach is replayed at the instant that has been reached, and counted as late
    #[arg(long, value_name = "LINES", default_value_t = 10_000)]
    pub(super) reorder: usize,
    /// The most keys that the limiter remembers at once
    #[arg(long, value_name = "KEYS", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) max_keys: u64,
    /// List the N keys that were denied most often
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) top: usize,
    /// Draw admitted and denied tokens over time, and the bucket's level if all requests share one; with
    /// --llm, the tokens that were granted at once and after a wait, and what is left of the limits
    #[arg(long, value_name = "SVG")]
    pub(super) timeline: Option<PathBuf>,
    /// With --llm or --redis: divide the times between the arrivals by this number
    #[arg(long, value_name = "FACTOR", requires = "paced", default_value_t = 1.0, value_parser = factor)]
    pub(super) speed: f64,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
    /// The logs in UTF-8, plain or packed by gzip, the oldest first; - is the standard input
    #[arg(required_unless_present = "compare", value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) llm: llm::Options,
    #[cfg(feature = "redis")]
    #[command(flatten)]
    pub(super) shared: shared::Options,
}

impl Args {
    /// Returns the list of quotas of `--quota`, or each list of `--compare`.
    pub(super) fn quotas(&self) -> Result<Vec<Quotas>> {
        if let Some(quota) = &self.quota {
            return Ok(vec![parse_quotas(quota).context("--quota")?]);
        }
        let read = |text: &String| match parse_quotas(text) {
            // A log that was meant as a file, and not as a quota.
            Err(_) if self.files.is_empty() && (text == "-" || Path::new(text).exists()) => {
                bail!("--compare: {text:?} is a file, not a quota: give the logs before --compare, or after --")
            }
            quotas => quotas.context("--compare"),
        };
        let lists = self.compare.iter().map(read).collect::<Result<Vec<_>>>()?;
        if let [quotas] = &lists[..] {
            bail!("--compare: \"{quotas}\" has nothing to be compared with: give two quotas, or use --quota");
        }
        if self.files.is_empty() {
            bail!("--compare: no log is given: give the logs before --compare, or after --");
        }
        Ok(lists)
    }

    /// Returns the fields that make a key, or none if all requests share one bucket.
    pub(super) fn key_fields(&self) -> Vec<String> {
        if self.key == "none" { Vec::new() } else { names(&self.key) }
    }

    /// Returns whether requests have keys.
    pub(super) fn are_keyed(&self) -> Result<bool> {
        let keyed = !self.key_fields().is_empty();
        if self.top > 0 && !keyed {
            bail!("--top lists keys: choose them with --key");
        }
        Ok(keyed)
    }

    pub(super) fn columns(&self) -> Columns {
        let (time, llm) = (self.time.clone(), &self.llm);
        if llm.llm {
            let cost = [("--in-column", &llm.in_column), ("--out-column", &llm.out_column)];
            let cost = cost.map(|(option, name)| (option, name.clone())).into();
            return Columns { time, cost, key: vec![llm.out_column.clone()] };
        }
        let cost = self.cost.as_deref().map_or(Vec::new(), names);
        Columns { time, cost: cost.into_iter().map(|name| ("--cost", name)).collect(), key: self.key_fields() }
    }
}

fn factor(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor: &f64| factor.is_finite() && *factor > 0.0);
    factor.ok_or_else(|| "not a number above zero".to_owned())
}

fn names(list: &str) -> Vec<String> {
    list.split('+').map(|name| name.trim().to_owned()).collect()
}
