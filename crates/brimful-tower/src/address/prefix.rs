//! [`AddressPrefix`]: the part of an address that is a key.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The part of an address by which a client is known: by default all of an IPv4 address, and the first 64 bits of an
/// IPv6 address.
///
/// An IPv4 address that is mapped into IPv6 (`::ffff:192.0.2.7`) counts as the IPv4 address, so that a client has one
/// key on sockets of either kind.
///
/// # Examples
///
/// ```
/// use brimful_tower::address::AddressPrefix;
/// use std::net::IpAddr;
///
/// let key = |prefix: AddressPrefix, address: &str| {
///     address.parse::<IpAddr>().map(|address| prefix.of(address).to_string())
/// };
/// assert_eq!(key(AddressPrefix::default(), "2001:db8:1:2:3:4:5:6")?, "2001:db8:1:2::");
/// assert_eq!(key(AddressPrefix::default(), "::ffff:192.0.2.7")?, "192.0.2.7");
///
/// let wide = AddressPrefix::default().v4(24).v6(48);
/// assert_eq!(key(wide, "2001:db8:1:2:3:4:5:6")?, "2001:db8:1::");
/// assert_eq!(key(wide, "192.0.2.7")?, "192.0.2.0");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressPrefix {
    v4: u8,
    v6: u8,
}

impl AddressPrefix {
    /// The default: 32 bits of IPv4, 64 bits of IPv6.
    pub const DEFAULT: AddressPrefix = AddressPrefix { v4: 32, v6: 64 };

    /// Sets the bits of an IPv4 address that count.
    ///
    /// # Panics
    ///
    /// If there are more than 32; in a constant, that is a compile error.
    #[must_use]
    pub const fn v4(self, bits: u8) -> Self {
        assert!(bits <= 32, "an IPv4 address has 32 bits");
        AddressPrefix { v4: bits, ..self }
    }

    /// Sets the bits of an IPv6 address that count. Providers give a client a prefix of 48 to 64 bits.
    ///
    /// # Panics
    ///
    /// If there are more than 128; in a constant, that is a compile error.
    #[must_use]
    pub const fn v6(self, bits: u8) -> Self {
        assert!(bits <= 128, "an IPv6 address has 128 bits");
        AddressPrefix { v6: bits, ..self }
    }

    /// Returns the address with all bits behind the prefix zero; of a mapped IPv4 address, the IPv4 address.
    #[inline]
    #[must_use]
    pub fn of(&self, address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(v4) => masked_v4(v4, self.v4).into(),
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => masked_v4(v4, self.v4).into(),
                None => masked_v6(v6, self.v6).into(),
            },
        }
    }
}

impl Default for AddressPrefix {
    fn default() -> Self {
        AddressPrefix::DEFAULT
    }
}

/// Returns the first `bits` of an address, and zeros. All bits if there are not as many.
pub(super) fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => masked_v4(v4, bits).into(),
        IpAddr::V6(v6) => masked_v6(v6, bits).into(),
    }
}

#[inline]
fn masked_v4(address: Ipv4Addr, bits: u8) -> Ipv4Addr {
    let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits.into())).unwrap_or(0);
    Ipv4Addr::from_bits(address.to_bits() & mask)
}

#[inline]
fn masked_v6(address: Ipv6Addr, bits: u8) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits.into())).unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_of_bits_keeps_the_first_ones() {
        for (address, bits, expected) in [
            ("255.255.255.255", 0, "0.0.0.0"),
            ("255.255.255.255", 1, "128.0.0.0"),
            ("255.255.255.255", 31, "255.255.255.254"),
            ("255.255.255.255", 32, "255.255.255.255"),
            ("255.255.255.255", 128, "255.255.255.255"),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 0, "::"),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 1, "8000::"),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 56, "ffff:ffff:ffff:ff00::"),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 128, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ] {
            assert_eq!(masked(address.parse().unwrap(), bits).to_string(), expected, "{address}/{bits}");
        }
    }

    /// A client with both kinds of sockets has one key, and the bits of IPv4 count for it.
    #[test]
    fn a_mapped_address_is_an_ipv4_address() {
        let prefix = AddressPrefix::DEFAULT.v4(16);
        for address in ["192.0.2.7", "::ffff:192.0.2.7", "::ffff:c000:207"] {
            assert_eq!(prefix.of(address.parse().unwrap()).to_string(), "192.0.0.0", "{address}");
        }
    }
}
