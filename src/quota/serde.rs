//! Quotas in configuration files and messages, by serde.
//!
//! A quota is written as its text. It is read from a text, or from a map with the fields `rate`,
//! `burst`, `initial` and `debt`; the last three are optional. The rate is a text; the other fields
//! are amounts, as numbers or as texts. Quotas that hold at once are written as one text, and read
//! from that text, from a map, or from a list of texts and maps, in which each may have a name.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::marker::PhantomData;
use core::str::FromStr;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::name::{NO_NAME, Name};
use super::quotas::Quotas;
use super::text::{self, Base, Misfit, ParseQuotaError, QuotaTextError};
use super::value::Quota;
use crate::tokens::Tokens;

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

/// A format that is not human-readable does not describe its values, so the written form is read.
fn read<'de, D: Deserializer<'de>, T: Form>(deserializer: D) -> Result<T, D::Error> {
    let visitor = TextOrMap(PhantomData);
    if deserializer.is_human_readable() {
        deserializer.deserialize_any(visitor)
    } else {
        deserializer.deserialize_str(visitor)
    }
}

/// A type that is read from a text, a map, and perhaps a list.
trait Form: FromStr<Err = ParseQuotaError> {
    const EXPECTED: &'static str;
    /// The fields of a map.
    const FIELDS: &'static [&'static str];

    fn of_one(name: Option<Name>, quota: Quota) -> Self;

    /// Returns `None` if the type cannot be read from a list.
    fn of_list<'de, A: SeqAccess<'de>>(_: A) -> Option<Result<Self, A::Error>> {
        None
    }
}

impl Form for Quota {
    const EXPECTED: &'static str = "a quota: a text such as \"100/s burst 200\", or a map with a \"rate\"";

    const FIELDS: &'static [&'static str] = FIELDS.split_at(FIELDS.len() - 1).0;

    fn of_one(_: Option<Name>, quota: Quota) -> Self {
        quota
    }
}

impl Form for Quotas {
    const EXPECTED: &'static str =
        "quotas: a text such as \"100/s; 5000/h\", a map with a \"rate\", or a list of either";

    const FIELDS: &'static [&'static str] = FIELDS;

    fn of_one(name: Option<Name>, quota: Quota) -> Self {
        Quotas::of_named(Entry::of_one(name, quota).0)
    }

    fn of_list<'de, A: SeqAccess<'de>>(mut list: A) -> Option<Result<Self, A::Error>> {
        // An error of an element is kept aside, because it is of the format's type.
        let mut failed = None;
        let entries = core::iter::from_fn(|| match list.next_element::<Entry>() {
            Ok(entry) => entry.map(|Entry(named)| Ok(named)),
            Err(error) => {
                failed = Some(error);
                None
            }
        });
        let quotas = Quotas::checked(entries);
        Some(failed.map_or_else(|| quotas.map_err(de::Error::custom), Err))
    }
}

/// An element of a list.
struct Entry((Name, Quota));

impl FromStr for Entry {
    type Err = ParseQuotaError;

    fn from_str(text: &str) -> Result<Self, ParseQuotaError> {
        text::named(text).map(Entry).map_err(|error| ParseQuotaError::new(text, error))
    }
}

impl Form for Entry {
    const EXPECTED: &'static str = "a quota: a text such as \"daily: 50000/day\", or a map with a \"rate\"";
    const FIELDS: &'static [&'static str] = FIELDS;

    fn of_one(name: Option<Name>, quota: Quota) -> Self {
        Entry((name.unwrap_or_else(|| Name::of(&quota)), quota))
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer)
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
        let (mut name, mut rate, mut clauses) = (None, None, [None; CLAUSES.len()]);
        while let Some(key) = map.next_key::<String>()? {
            if let Some(nth) = CLAUSES.iter().position(|&clause| clause == key) {
                let name = CLAUSES[nth];
                let amount = map.next_value_seed(Amount(name))?;
                if clauses[nth].replace(amount).is_some() {
                    return Err(de::Error::duplicate_field(name));
                }
            } else if key == RATE {
                if rate.replace(map.next_value_seed(Rate)?).is_some() {
                    return Err(de::Error::duplicate_field(RATE));
                }
            } else if key == NAME && T::FIELDS.contains(&NAME) {
                let text = map.next_value::<String>()?;
                let given =
                    Name::given(&text).ok_or_else(|| in_field(NAME, &format_args!("{NO_NAME}, not {text:?}")))?;
                if name.replace(given).is_some() {
                    return Err(de::Error::duplicate_field(NAME));
                }
            } else {
                return Err(de::Error::unknown_field(&key, T::FIELDS));
            }
        }
        let rate = rate.ok_or_else(|| de::Error::missing_field(RATE))?;
        text::combined(rate, clauses)
            .map(|quota| T::of_one(name, quota))
            .map_err(|Misfit { clause, error }| in_field(clause.map_or(RATE, |nth| CLAUSES[nth]), &error))
    }
}

const RATE: &str = "rate";
/// In the order of [`text::combined`].
const CLAUSES: [&str; 3] = ["burst", "initial", "debt"];
/// The name is the last.
const FIELDS: &[&str] = &[RATE, CLAUSES[0], CLAUSES[1], CLAUSES[2], NAME];
const NAME: &str = "name";

/// The message names the field, and what is wrong with it.
fn in_field<E: de::Error>(name: &str, error: &dyn fmt::Display) -> E {
    E::custom(format_args!("field {name:?}: {error}"))
}

/// Reads a field's text by `parse`, with an error that names the field and the offending part.
fn parse_field<T, E: de::Error>(
    name: &str,
    text: &str,
    parse: impl Fn(&str) -> Result<T, QuotaTextError>,
) -> Result<T, E> {
    parse(text).map_err(|error| in_field(name, &with_text::<E>(&ParseQuotaError::new(text, error))))
}

/// The message names the offending part, and what it is a part of.
fn with_text<E: de::Error>(error: &ParseQuotaError) -> E {
    E::custom(format_args!("{error}, in {:?}", error.text()))
}

/// Reads the field `rate`: a text.
#[derive(Clone, Copy)]
struct Rate;

impl<'de> DeserializeSeed<'de> for Rate {
    type Value = Base;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Base, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Rate {
    type Value = Base;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a text such as \"100/s\" in the field {RATE:?}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Base, E> {
        parse_field(RATE, text, text::rate)
    }
}

/// Reads the field of this name, an amount: a number, or a text.
#[derive(Clone, Copy)]
struct Amount(&'static str);

impl<'de> DeserializeSeed<'de> for Amount {
    type Value = Tokens;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tokens, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Amount {
    type Value = Tokens;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number, or a text such as \"2.5\" or \"2k\", in the field {:?}", self.0)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Tokens, E> {
        self.visit_str(&format!("{number}"))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Tokens, E> {
        self.visit_str(&format!("{number}"))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Tokens, E> {
        self.visit_str(&format!("{number}"))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Tokens, E> {
        parse_field(self.0, text, text::tokens)
    }
}
