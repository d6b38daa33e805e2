//! Quotas of models in configuration files: every mistake is an error that begins with the path to it.
#![cfg(feature = "serde")]

use brimful::MockClock;
use brimful::model::{ModelConfig, ModelLimiter, ModelQuota};

const TEXT: &str = r#"{
    "gpt-4": {"rpm": 500, "tpm": 40000, "max_parallel_requests": 10},
    "claude": {"input_tpm": 3e4, "output_tpm": 8000, "strict": true},
    "default": {"rpm": 60, "rpd": 1000, "tpd": 8000000000}
}"#;

fn expected() -> ModelConfig {
    let mut config = ModelConfig::new();
    let gpt4 = ModelQuota::new().rpm(500).tpm(40_000).max_parallel_requests(10);
    config.models.insert("gpt-4".to_owned(), gpt4);
    config.models.insert("claude".to_owned(), ModelQuota::new().input_tpm(30_000).output_tpm(8_000).strict());
    config.default = Some(ModelQuota::new().rpm(60).rpd(1_000).tpd(8_000_000_000));
    config
}

fn read(text: &str) -> Result<ModelConfig, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[test]
fn a_configuration_is_read_and_written() {
    let config = read(TEXT).expect("it is valid");
    assert_eq!(config, expected());
    let text = serde_json::to_string(&config).expect("a text");
    assert_eq!(read(&text), Ok(config.clone()));
    assert!(
        text.starts_with(r#"{"claude":{"input_tpm":30000,"output_tpm":8000,"strict":true},"gpt-4":{"rpm":500"#),
        "{text}"
    );
    let bytes = postcard::to_allocvec(&config).expect("bytes");
    assert_eq!(postcard::from_bytes::<ModelConfig>(&bytes).as_ref(), Ok(&config));
    let limiter = ModelLimiter::builder().config(config).clock(MockClock::new()).build().expect("a limiter");
    assert_eq!(limiter.models(), ["claude", "gpt-4"]);
    assert!(limiter.try_acquire("another", 1).is_ok());
    let quota: ModelQuota = serde_json::from_str(r#"{"tpm": 5}"#).expect("a quota");
    assert_eq!(quota, ModelQuota::new().tpm(5));
}

#[test]
fn every_mistake_is_named_by_its_path() {
    for (text, error) in [
        (r#"{"gpt-4": {"rpm": 0}}"#, "gpt-4.rpm: 0 is not a limit; leave it out for no limit"),
        (r#"{"gpt-4": {"rpm": -5}}"#, "gpt-4.rpm: -5 is not a limit; leave it out for no limit"),
        (r#"{"gpt-4": {"tpm": 2.5}}"#, "gpt-4.tpm: 2.5 is not a limit; leave it out for no limit"),
        (r#"{"default": {"max_parallel_requests": 0}}"#, "default.max_parallel_requests: 0 is not a limit"),
        (r#"{"gpt-4": {"rpn": 5}}"#, "gpt-4.rpn: no such field: the fields are rpm, tpm, input_tpm,"),
        (r#"{"gpt-4": {"rpm": 5, "rpm": 6}}"#, "gpt-4.rpm: the field is given twice"),
        (r#"{"gpt-4": {"tpm": null}}"#, "gpt-4.tpm: null is not a limit; leave it out for no limit"),
        (r#"{"gpt-4": {}}"#, "gpt-4: no limit is given: add one, such as \"rpm\": 500"),
        (r#"{"default": {"strict": true}}"#, "default: no limit is given"),
        (
            r#"{"gpt-4": {"max_parallel_requests": 2147483648}}"#,
            "gpt-4.max_parallel_requests: 2147483648 is above the 2147483647 that can be counted",
        ),
        (r#"{"gpt-4": {"rpm": 1}, "gpt-4": {"rpm": 1}}"#, "gpt-4: the model is listed twice"),
        (r#"{"default": {"rpm": 1}, "default": {"rpm": 1}}"#, "default: the model is listed twice"),
        (
            r#"{"gpt-4": {"rpm": "500"}}"#,
            "invalid type: string \"500\", expected a whole number above zero in gpt-4.rpm",
        ),
        (r#"{"gpt-4": {"strict": 1}}"#, "invalid type: integer `1`, expected true or false in gpt-4.strict"),
        (r#"{"gpt-4": 500}"#, "expected a map of limits, such as \"rpm\": 500, for the model gpt-4"),
        (r#"{"gpt-4": {"rpm": 999999999999999}}"#, "gpt-4.rpm: "),
        ("[]", "expected a map of the names of models to their limits"),
    ] {
        let found = read(text).expect_err(text);
        assert!(found.contains(error), "{text}: {found}");
    }
    let alone = serde_json::from_str::<ModelQuota>(r#"{"rpm": 0}"#).unwrap_err().to_string();
    assert!(alone.starts_with("rpm: 0 is not a limit"), "{alone}");
}

#[test]
fn a_builder_names_the_same_mistakes() {
    let error = |name: &str, quota| ModelLimiter::builder().model(name, quota).build().map(drop).unwrap_err();
    let refused = error("gpt-4", ModelQuota::new().rpd(0));
    assert_eq!(refused.to_string(), "gpt-4.rpd: 0 is not a limit; leave it out for no limit");
    assert_eq!((refused.model(), refused.dimension().map(|of| of.as_str())), ("gpt-4", Some("rpd")));
    let refused = error("default", ModelQuota::new()).to_string();
    assert_eq!(refused, "default: the name of the limits of models that are not listed: choose another name");
    let none = ModelLimiter::builder().max_models(0).build().map(drop).unwrap_err();
    assert!(none.to_string().starts_with("default: `max_models` is 0"), "{none}");
    let limiter = ModelLimiter::builder().build().expect("a limiter");
    assert!(limiter.set_model("m", ModelQuota::new().max_parallel_requests(1 << 31)).is_err());
    assert!(limiter.set_default(ModelQuota::new().tpm(0)).is_err());
    assert!(limiter.set_model("m", ModelQuota::new().max_parallel_requests(0)).is_err());
    assert_eq!(limiter.models(), [""; 0]);
}
