//! [`Network`]: all addresses with the same beginning.

use std::error::Error;
use std::fmt;
use std::net::{AddrParseError, IpAddr};
use std::str::FromStr;

use super::prefix::masked;

/// A network: all addresses with the same first bits, in text `10.0.0.0/8`. An address alone is a network of one
/// address.
///
/// A network of IPv4 addresses that are mapped into IPv6 is the network of those IPv4 addresses.
///
/// # Examples
///
/// ```
/// use brimful_tower::address::Network;
///
/// let network: Network = "2001:db8::/32".parse()?;
/// assert!(network.contains("2001:db8:7::1".parse()?));
/// assert!(!network.contains("2001:db9::1".parse()?));
///
/// let error = "10.0.0.1/8".parse::<Network>().unwrap_err();
/// assert_eq!(error.to_string(), "10.0.0.1/8 has bits behind its prefix: write 10.0.0.0/8, or 10.0.0.1 for one address");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Returns the network of all addresses with the first `bits` of `address`.
    ///
    /// # Errors
    ///
    /// If an address has fewer bits, or if `address` has bits behind the prefix, which is a mistake of one of the two
    /// numbers.
    pub fn new(address: IpAddr, bits: u8) -> Result<Self, NetworkError> {
        let most = width(address);
        if bits > most {
            return Err(NetworkError(Reason::Bits { address, bits }));
        }
        if masked(address, bits) != address {
            return Err(NetworkError(Reason::Behind { address, bits }));
        }
        let canonical = address.to_canonical();
        // A mapped address has all of its 96 bits before the IPv4 address within the prefix: they are not all zero.
        Ok(Network { address: canonical, bits: bits.saturating_sub(most - width(canonical)) })
    }

    /// Returns whether an address, or the IPv4 address that is mapped into it, is of the network.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        masked(address.to_canonical(), self.bits) == self.address
    }
}

/// Makes the network of one address.
impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Network { address, bits: width(address) }
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let address = |text: &str| text.parse::<IpAddr>().map_err(|error| NetworkError(Reason::Address(error)));
        let Some((prefix, bits)) = text.split_once('/') else { return address(text).map(Network::from) };
        let is_number = bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits = bits.parse().ok().filter(|_| is_number).ok_or(NetworkError(Reason::Number))?;
        Network::new(address(prefix)?, bits)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network({self})")
    }
}

/// A text or a pair of numbers that is no [`Network`].
#[derive(Clone, PartialEq, Eq)]
pub struct NetworkError(Reason);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reason {
    Address(AddrParseError),
    Number,
    Bits { address: IpAddr, bits: u8 },
    Behind { address: IpAddr, bits: u8 },
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Address(error) => write!(f, "{error}: write a network as 10.0.0.0/8 or 2001:db8::/32"),
            Reason::Number => f.write_str("the prefix of a network is a number of bits: write a network as 10.0.0.0/8"),
            Reason::Bits { address, bits } => {
                let most = width(*address);
                write!(f, "{address}/{bits} has more than {most} bits: write {address}/{most} for one address")
            }
            Reason::Behind { address, bits } => {
                let network = masked(*address, *bits);
                let one = "for one address";
                write!(f, "{address}/{bits} has bits behind its prefix: write {network}/{bits}, or {address} {one}")
            }
        }
    }
}

impl fmt::Debug for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NetworkError").field(&self.0).finish()
    }
}

impl Error for NetworkError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_and_contain_their_addresses() {
        for (text, shown, inside, outside) in [
            ("10.0.0.0/8", "10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("192.0.2.7", "192.0.2.7/32", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.7", "192.0.2.7/32", "::ffff:192.0.2.7", "::192.0.2.7"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8", "10.9.8.7", "11.0.0.0"),
            ("::ffff:192.0.2.7", "192.0.2.7/32", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "0.0.0.0/0", "203.0.113.1", "2001:db8::1"),
            ("::/0", "::/0", "2001:db8::1", "203.0.113.1"),
            ("2001:db8::/33", "2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("::1", "::1/128", "::1", "::2"),
        ] {
            let network: Network = text.parse().unwrap();
            assert_eq!(network.to_string(), shown);
            assert!(network.contains(inside.parse().unwrap()), "{text} has {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{text} has not {outside}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, start) in [
            ("10.0.0.0/33", "10.0.0.0/33 has more than 32 bits"),
            ("10.0.0.1/31", "10.0.0.1/31 has bits behind its prefix: write 10.0.0.0/31"),
            ("::ffff:10.0.0.0/90", "::ffff:10.0.0.0/90 has bits behind its prefix: write ::ffc0:0:0/90"),
            ("10.0.0.0/", "the prefix of a network is a number"),
            ("10.0.0.0/+8", "the prefix of a network is a number"),
            ("10.0.0.0/256", "the prefix of a network is a number"),
            ("10.0.0.0/8/8", "the prefix of a network is a number"),
            ("10.0.0/8", "invalid IP address syntax"),
            ("localhost", "invalid IP address syntax"),
            ("", "invalid IP address syntax"),
        ] {
            let error = text.parse::<Network>().unwrap_err().to_string();
            assert!(error.starts_with(start), "{text}: {error}");
        }
    }
}
