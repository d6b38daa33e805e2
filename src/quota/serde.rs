//! Quotas in configuration files and messages, by serde.
//!
//! A quota is written as its text. It is read from a text, or from a map with the keys `rate`,
//! `burst`, `initial` and `debt`, the last three of which may be left out; their values are
//! numbers, or texts as they stand in a quota's. Quotas that hold at once are written as one text,
//! and read from that, from a map, or from a list of either.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::{ParseQuotaError, Quota, Quotas};

impl Serialize for Quota {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Quotas {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quota {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer)
    }
}

impl<'de> Deserialize<'de> for Quotas {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer)
    }
}

/// Formats that are not for people do not tell what comes: it is what was written.
fn read<'de, D: Deserializer<'de>, T: Form>(deserializer: D) -> Result<T, D::Error> {
    let visitor = TextOrMap(PhantomData);
    if deserializer.is_human_readable() {
        deserializer.deserialize_any(visitor)
    } else {
        deserializer.deserialize_str(visitor)
    }
}

/// What is read from a text, a map, and perhaps a list.
trait Form: FromStr<Err = ParseQuotaError> {
    const EXPECTED: &'static str;

    fn of_one(quota: Quota) -> Self;

    /// `None` where there may be no list.
    fn of_list<'de, A: SeqAccess<'de>>(_: A) -> Option<Result<Self, A::Error>> {
        None
    }
}

impl Form for Quota {
    const EXPECTED: &'static str = "a quota: a text such as \"100/s burst 200\", or a map with a \"rate\"";

    fn of_one(quota: Quota) -> Self {
        quota
    }
}

impl Form for Quotas {
    const EXPECTED: &'static str =
        "quotas: a text such as \"100/s; 5000/h\", a map with a \"rate\", or a list of either";

    fn of_one(quota: Quota) -> Self {
        quota.into()
    }

    fn of_list<'de, A: SeqAccess<'de>>(mut list: A) -> Option<Result<Self, A::Error>> {
        let mut read = || {
            let mut quotas: Vec<Quota> = Vec::new();
            while let Some(quota) = list.next_element()? {
                quotas.push(quota);
            }
            Quotas::new(quotas).ok_or_else(|| de::Error::custom("an empty list of quotas: one is needed at least"))
        };
        Some(read())
    }
}

struct TextOrMap<T>(PhantomData<T>);

impl<'de, T: Form> Visitor<'de> for TextOrMap<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(|error| with_text(&error))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
        T::of_list(list).unwrap_or_else(|| Err(de::Error::invalid_type(de::Unexpected::Seq, &self)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        const CLAUSES: [&str; 3] = ["burst", "initial", "debt"];
        const KEYS: &[&str] = &["rate", "burst", "initial", "debt"];
        let (mut rate, mut clauses) = (None, [const { None }; CLAUSES.len()]);
        while let Some(key) = map.next_key::<String>()? {
            let (name, place) = match CLAUSES.iter().position(|&clause| clause == key) {
                Some(nth) => (CLAUSES[nth], &mut clauses[nth]),
                None if key == "rate" => ("rate", &mut rate),
                None => return Err(de::Error::unknown_field(&key, KEYS)),
            };
            if place.replace(map.next_value::<Amount>()?.0).is_some() {
                return Err(de::Error::duplicate_field(name));
            }
        }
        let mut text = rate.ok_or_else(|| de::Error::missing_field("rate"))?;
        for (name, amount) in CLAUSES.iter().zip(clauses) {
            if let Some(amount) = amount {
                text = format!("{text} {name} {amount}");
            }
        }
        text.parse().map(T::of_one).map_err(|error| with_text(&error))
    }
}

/// The message names the offending part, and what it is a part of.
fn with_text<E: de::Error>(error: &ParseQuotaError) -> E {
    E::custom(format_args!("{error}, in {:?}", error.text()))
}

/// A number, or a text; as it stands in a quota's text.
struct Amount(String);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AmountVisitor)
    }
}

struct AmountVisitor;

impl Visitor<'_> for AmountVisitor {
    type Value = Amount;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or a text such as \"100/s\" or \"2k\"")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Amount, E> {
        Ok(Amount(format!("{number}")))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Amount, E> {
        Ok(Amount(format!("{number}")))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Amount, E> {
        Ok(Amount(format!("{number}")))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
        Ok(Amount(text.into()))
    }
}
