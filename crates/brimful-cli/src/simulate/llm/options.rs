//! The options of `simulate --llm`.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail};
use brimful::model::{Dimension, ModelConfig, ModelLimiter, ModelQuota};
use jiff::SignedDuration;
use serde_json::Value;

use crate::text;

/// The name of the model.
pub(super) const NAME: &str = "limits";

/// The limits that are options, and not in a file.
const LIMITS: [&str; 8] = ["rpm", "tpm", "input_tpm", "output_tpm", "rpd", "tpd", "parallel", "strict"];

/// The options of `simulate --llm`.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Calls to a language model, with --llm")]
#[group(conflicts_with_all = ["quota", "compare", "key", "cost", "max_keys", "top"])]
pub(crate) struct Options {
    /// Replay calls to a language model through a model limiter: they wait until all limits admit them. The
    /// columns are those of the Azure LLM inference traces, unless others are named
    #[arg(long, group = "paced")]
    pub(crate) llm: bool,
    /// The column with the tokens of the prompt
    #[arg(long, value_name = "COLUMN", requires = "llm", default_value = "ContextTokens")]
    pub(crate) in_column: String,
    /// The column with the tokens of the answer
    #[arg(long, value_name = "COLUMN", requires = "llm", default_value = "GeneratedTokens")]
    pub(crate) out_column: String,
    /// The limit of requests per minute
    #[arg(long, value_name = "N", requires = "llm")]
    rpm: Option<u64>,
    /// The limit of tokens per minute, input and output together
    #[arg(long, value_name = "N", requires = "llm")]
    tpm: Option<u64>,
    /// The limit of input tokens per minute
    #[arg(long, value_name = "N", requires = "llm")]
    input_tpm: Option<u64>,
    /// The limit of output tokens per minute
    #[arg(long, value_name = "N", requires = "llm")]
    output_tpm: Option<u64>,
    /// The limit of requests per day
    #[arg(long, value_name = "N", requires = "llm")]
    rpd: Option<u64>,
    /// The limit of tokens per day, input and output together
    #[arg(long, value_name = "N", requires = "llm")]
    tpd: Option<u64>,
    /// The limit of requests in flight
    #[arg(long, value_name = "N", requires = "llm")]
    parallel: Option<u64>,
    /// Bound every window of a minute, or of a day, by the limit itself
    #[arg(long, requires = "llm")]
    strict: bool,
    /// Read the limits from a file, such as {"rpm": 500, "tpm": 40000}, or {"gpt-4": {"rpm": 500}}
    #[arg(long, value_name = "JSON", requires = "llm", conflicts_with_all = LIMITS)]
    limits: Option<PathBuf>,
    /// The time from the grant of a call to the first token of its answer
    #[arg(long, value_name = "TIME", requires = "llm", default_value = "500ms", value_parser = nanos)]
    pub(super) first_token: u64,
    /// The time that each token of an answer takes after that
    #[arg(long, value_name = "TIME", requires = "llm", default_value = "20ms", value_parser = nanos)]
    pub(super) per_token: u64,
    /// The client's knowledge before a call: "exact", input and output; "context", the input, and the mean output of
    /// the calls that have ended; or a number, the input, and this output for each call
    #[arg(long, value_name = "ESTIMATE", requires = "llm", default_value = "exact")]
    pub(super) estimate: Estimate,
    /// Let the limiter scale the estimates by what calls turned out to use
    #[arg(long, requires = "llm")]
    pub(super) learning: bool,
}

/// The client's knowledge of the usage of a call before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Estimate {
    /// All of it.
    Exact,
    /// The input, and the mean output of the calls that have ended.
    Context,
    /// The input, and this output.
    Output(u64),
}

impl FromStr for Estimate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "exact" => Ok(Estimate::Exact),
            "context" => Ok(Estimate::Context),
            number => number.parse().map(Estimate::Output).map_err(|_| "not exact, context, or a number".to_owned()),
        }
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Estimate::Exact => f.write_str("exact"),
            Estimate::Context => f.write_str("the input, and the mean output so far"),
            Estimate::Output(tokens) => write!(f, "the input, and {} of output", text::count(*tokens)),
        }
    }
}

impl Options {
    /// Returns the limits.
    pub(super) fn quota(&self) -> Result<ModelQuota> {
        let quota = match &self.limits {
            Some(path) => fs::read_to_string(path)
                .map_err(Into::into)
                .and_then(|text| of_one_model(&text))
                .with_context(|| format!("--limits: {}", path.display()))?,
            None => self.given(),
        };
        if Dimension::ALL.iter().all(|&dimension| quota.limit(dimension).is_none()) {
            bail!("--llm: no limit is given: choose one of --rpm, --tpm and so on, or --limits");
        }
        ModelLimiter::builder().model(NAME, quota).build()?;
        Ok(quota)
    }

    fn given(&self) -> ModelQuota {
        let mut quota = ModelQuota::new();
        (quota.rpm, quota.tpm, quota.rpd, quota.tpd) = (self.rpm, self.tpm, self.rpd, self.tpd);
        (quota.input_tpm, quota.output_tpm) = (self.input_tpm, self.output_tpm);
        (quota.max_parallel_requests, quota.strict) = (self.parallel, self.strict);
        quota
    }
}

/// Reads the limits of a model, or a configuration of one model.
fn of_one_model(text: &str) -> Result<ModelQuota> {
    let value: Value = serde_json::from_str(text)?;
    let is_config = value.as_object().is_some_and(|fields| fields.values().any(Value::is_object));
    if !is_config {
        return Ok(serde_json::from_str(text)?);
    }
    let ModelConfig { models, default, .. } = serde_json::from_str(text)?;
    match *models.into_values().chain(default).collect::<Vec<_>>() {
        [quota] => Ok(quota),
        ref quotas => Err(anyhow!("one model at a time, and the file has {}", quotas.len())),
    }
}

/// Reads a time in nanoseconds.
fn nanos(text: &str) -> Result<u64, String> {
    let time: SignedDuration = text.parse().map_err(|_| "not a time such as 500ms or 1.5s".to_owned())?;
    u64::try_from(time.as_nanos()).map_err(|_| "not from zero to 500 years".to_owned())
}
