//! Quotas of models in configuration files, by serde.
//!
//! A quota is a map of the dimensions that have a limit, and `strict`. A configuration is a map of names to quotas, in
//! which the name `default` has the quota of models that are not listed. Errors name the path to the field: first, or last if a
//! value has the wrong type, as the format writes the text before it.

use std::collections::btree_map::Entry;
use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::config::ModelConfig;
use super::dimension::Dimension;
use super::quota::{DEFAULT, ModelQuota};

/// The field beside the dimensions.
const STRICT: &str = "strict";

impl Serialize for ModelQuota {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let limits = || Dimension::ALL.into_iter().filter_map(|of| Some((of.as_str(), self.limit(of)?)));
        let mut map = serializer.serialize_map(Some(limits().count() + usize::from(self.strict)))?;
        for (name, limit) in limits() {
            map.serialize_entry(name, &limit)?;
        }
        if self.strict {
            map.serialize_entry(STRICT, &true)?;
        }
        map.end()
    }
}

impl Serialize for ModelConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let default = self.default.iter().map(|quota| (DEFAULT, quota));
        let listed = self.models.iter().map(|(name, quota)| (name.as_str(), quota));
        serializer.collect_map(listed.chain(default).collect::<Vec<_>>())
    }
}

impl<'de> Deserialize<'de> for ModelQuota {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        OfModel("").deserialize(deserializer)
    }
}

impl<'de> Deserialize<'de> for ModelConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Models)
    }
}

struct Models;

impl<'de> Visitor<'de> for Models {
    type Value = ModelConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of the names of models to their limits")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ModelConfig, A::Error> {
        let mut config = ModelConfig::new();
        while let Some(name) = map.next_key::<String>()? {
            let quota = map.next_value_seed(OfModel(&name))?;
            let is_second = if name == DEFAULT {
                config.default.replace(quota).is_some()
            } else {
                match config.models.entry(name.clone()) {
                    Entry::Occupied(_) => true,
                    Entry::Vacant(place) => {
                        place.insert(quota);
                        false
                    }
                }
            };
            if is_second {
                return Err(de::Error::custom(format_args!("{name}: the model is listed twice")));
            }
        }
        Ok(config)
    }
}

/// Reads the quota of the model with this name; of any model if it is empty.
#[derive(Clone, Copy)]
struct OfModel<'a>(&'a str);

impl OfModel<'_> {
    /// Returns the path of a field.
    fn path(&self, field: &str) -> String {
        if self.0.is_empty() { field.to_owned() } else { format!("{}.{field}", self.0) }
    }
}

impl<'de> DeserializeSeed<'de> for OfModel<'_> {
    type Value = ModelQuota;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<ModelQuota, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OfModel<'_> {
    type Value = ModelQuota;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of limits, such as \"rpm\": 500")?;
        if self.0.is_empty() { Ok(()) } else { write!(f, ", for the model {}", self.0) }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ModelQuota, A::Error> {
        let (mut quota, mut seen) = (ModelQuota::new(), Vec::new());
        while let Some(field) = map.next_key::<String>()? {
            let path = self.path(&field);
            let error = |message: fmt::Arguments<'_>| Err(de::Error::custom(format_args!("{path}: {message}")));
            let dimension = Dimension::ALL.into_iter().find(|of| of.as_str() == field);
            match dimension {
                Some(dimension) => *quota.limit_mut(dimension) = map.next_value_seed(Limit(&path))?,
                None if field == STRICT => quota.strict = map.next_value_seed(Flag(&path))?,
                None => {
                    let names = Dimension::ALL.map(Dimension::as_str).join(", ");
                    return error(format_args!("no such field: the fields are {names}, {STRICT}"));
                }
            }
            if seen.contains(&field) {
                return error(format_args!("the field is given twice"));
            }
            seen.push(field);
        }
        match quota.buckets() {
            Ok(_) if Dimension::ALL.iter().all(|of| quota.limit(*of).is_none()) => {
                let path = if self.0.is_empty() { String::new() } else { format!("{}: ", self.0) };
                Err(de::Error::custom(format_args!("{path}no limit is given: add one, such as \"rpm\": 500")))
            }
            Ok(_) => Ok(quota),
            Err((dimension, fault)) => {
                Err(de::Error::custom(format_args!("{}: {fault}", self.path(dimension.as_str()))))
            }
        }
    }
}

/// Reads the limit in the field with this path.
#[derive(Clone, Copy)]
struct Limit<'a>(&'a str);

impl Limit<'_> {
    fn refused<E: de::Error>(self, number: impl fmt::Display) -> Result<Option<u64>, E> {
        let message = format_args!("{}: {number} is not a limit; leave it out for no limit", self.0);
        Err(E::custom(message))
    }
}

impl<'de> DeserializeSeed<'de> for Limit<'_> {
    type Value = Option<u64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<u64>, D::Error> {
        // A format that does not describe its values is asked for the written form.
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(self)
        } else {
            deserializer.deserialize_u64(self)
        }
    }
}

impl Visitor<'_> for Limit<'_> {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number above zero in {}", self.0)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Option<u64>, E> {
        if number == 0 { self.refused(number) } else { Ok(Some(number)) }
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Option<u64>, E> {
        u64::try_from(number).or_else(|_| self.refused(number).map(|_| 0)).and_then(|number| self.visit_u64(number))
    }

    /// Some formats write large whole numbers as floats.
    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Option<u64>, E> {
        const END: f64 = (1u64 << 53) as f64;
        if (1.0..END).contains(&number) && number.fract() == 0.0 {
            return Ok(Some(number as u64));
        }
        self.refused(number)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Option<u64>, E> {
        self.refused("null")
    }
}

/// Reads the flag in the field with this path.
#[derive(Clone, Copy)]
struct Flag<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Flag<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_bool(self)
    }
}

impl Visitor<'_> for Flag<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "true or false in {}", self.0)
    }

    fn visit_bool<E: de::Error>(self, is_set: bool) -> Result<bool, E> {
        Ok(is_set)
    }
}
